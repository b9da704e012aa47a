// Where a link may lead: only to paths of this site.

// `path` where it is one of this site, else the first page.
export function localPath(path) {
  if (path === null || !path.startsWith("/")) return "/";
  const url = new URL(path, location.origin);
  // Two slashes, or a backslash that browsers take for one, begin the name of another host.
  return url.origin === location.origin && /^\/(?![/\\])/.test(path) ? url.pathname + url.search + url.hash : "/";
}
