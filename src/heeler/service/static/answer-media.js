// What is judged: clips of pictures, or curves where a world cannot be drawn.
import { get } from "./api.js";
import { Text } from "./answer-text.js";

export const PICTURE = 240;
const CURVE_COLOURS = ["#2f78c4", "#d9822b", "#2f9e6e", "#9b6bd3", "#c94f4f", "#5a8f9c", "#a8892c", "#c2609a"];

export class Clip {
  constructor(shown, sheet) {
    this.numSteps = shown.num_steps;
    this.stepS = shown.step_s;
    this.film = shown.film;
    this.actions = shown.actions;
    this.curves = shown.curves;
    this.canDrive = shown.can_drive;
    this.sheet = sheet;
  }

  // Draw what there is to see at a step.
  draw(context, step) {
    if (this.sheet !== null) drawPicture(context, this.sheet, this.film, step);
    else drawCurves(context, this.curves, this.numSteps, step);
  }

  // Draw the numbers behind what there is to see.
  drawNumbers(context, step) {
    drawCurves(context, this.curves, this.numSteps, step);
  }

  // The action that was executed at a step.
  actionAt(step) {
    return this.curves.action[lastUpTo(this.curves.steps, step)];
  }

  close() {
    this.sheet?.close();
  }
}

// A picture that the browser cannot read.
export class PictureError extends Error {
  constructor(cause) {
    super("the picture cannot be read", { cause });
    this.name = "PictureError";
  }
}

// What the API shows at the path of a segment: a clip or a text.
export async function loadShown(path, signal) {
  const shown = await get(path, { signal });
  if (shown.text !== null) return new Text(shown);
  if (shown.film === null) return new Clip(shown, null);
  const blob = await get(`${path}/film`, { as: "blob", signal });
  try {
    return new Clip(shown, await createImageBitmap(blob));
  } catch (error) {
    throw new PictureError(error);
  }
}

// A picture that came as base64.
export function decoded(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/webp" }));
}

function drawPicture(context, sheet, film, step) {
  const index = lastUpTo(film.steps, step);
  const x = (index % film.columns) * film.width;
  const y = Math.floor(index / film.columns) * film.height;
  const { width, height } = context.canvas;
  context.drawImage(sheet, x, y, film.width, film.height, 0, 0, width, height);
}

function drawCurves(context, curves, numSteps, step) {
  const { width, height } = context.canvas;
  const style = getComputedStyle(context.canvas);
  context.clearRect(0, 0, width, height);
  const numbers = curves.observation.flat();
  const low = Math.min(...numbers);
  const high = Math.max(...numbers);
  const x = (at) => 6 + (at / Math.max(1, numSteps - 1)) * (width - 12);
  const y = (value) => height - 8 - ((value - low) / (high - low || 1)) * (height - 16);
  context.lineWidth = 1.5;
  for (let column = 0; column < curves.observation[0].length; column += 1) {
    context.strokeStyle = CURVE_COLOURS[column % CURVE_COLOURS.length];
    context.beginPath();
    curves.steps.forEach((at, row) => context.lineTo(x(at), y(curves.observation[row][column])));
    context.stroke();
  }
  context.strokeStyle = style.color;
  context.beginPath();
  context.moveTo(x(step), 0);
  context.lineTo(x(step), height);
  context.stroke();
}

function lastUpTo(steps, step) {
  let index = steps.length - 1;
  while (index > 0 && steps[index] > step) index -= 1;
  return index;
}
