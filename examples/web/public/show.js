// How files look: sizes for people, and the address of a picture. Used by the page and by its server.

const PICTURES = ['image/jpeg', 'image/png', 'image/gif', 'image/webp'];

/** Whether Drystone makes pictures of it. */
export function hasPicture(file) {
  return PICTURES.includes(file.mimeType);
}

/**
 * The address of a picture of a file: the options stand between the host and the key. What a presigned address has behind the
 * `?` stays as it is and opens the picture too, so that an <img> shows private files.
 */
export function pictureUrl(environment, fileUrl, options) {
  const url = new URL(fileUrl);
  const key = url.pathname.split('/').slice(2).join('/');
  url.pathname = `/v1/img/${environment}/${options}/${key}`;
  return url.href;
}

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

export function readableSize(bytes) {
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && size < 10 ? 1 : 0;
  return `${size.toFixed(digits)} ${bytes === 1 ? 'byte' : UNITS[unit]}`;
}

/** What stands where a file has no picture: the end of its name. */
export function kindOf(name) {
  const end = name.includes('.') ? name.split('.').at(-1) : '';
  return end && end.length <= 5 ? end.toUpperCase() : 'FILE';
}
