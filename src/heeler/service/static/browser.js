// What browsers keep back where a page came without TLS from another machine.

// A random UUID, version 4.
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// Do something while no other tab does it; `act` is told false where another does, and `steal` takes its place.
export function alone(name, { steal = false } = {}, act) {
  if (navigator.locks === undefined) return act(true);
  const how = steal ? { steal } : { ifAvailable: true };
  return navigator.locks.request(name, how, (lock) => act(lock !== null));
}
