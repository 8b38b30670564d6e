// A page with an uploader of Uppy's, as the suite's driver uses it: choose, send, break off, go on.

/** What the driver tells the page. */
export const told = JSON.parse(document.getElementById('told').textContent);

export async function call(method, path, body) {
  const headers = { ...told.headers, ...(body && { 'Content-Type': 'application/json' }) };
  const answer = await fetch(`${told.api}${path}`, { method, headers, body: body && JSON.stringify(body) });
  const fields = await answer.json();
  if (!answer.ok) throw new Error(fields.message);
  return fields;
}

/** `kinds` makes an Uppy for each way to upload. */
export function play(kinds) {
  const page = globalThis;
  page.send = async (kind) => {
    const uppy = kinds[kind]();
    page.uppy = uppy;
    const [data] = document.getElementById('choose').files;
    const id = uppy.addFile({ name: data.name, type: data.type, data });
    // What a page keeps to go on with parts after it was loaded anew: which upload it was.
    const place = `parts of ${data.name}`;
    const kept = localStorage.getItem(place);
    if (kept) uppy.setFileState(id, { s3Multipart: JSON.parse(kept) });
    uppy.on('state-update', (_before, state) => {
      const upload = state.files?.[id]?.s3Multipart;
      if (upload?.uploadId) localStorage.setItem(place, JSON.stringify({ key: upload.key, uploadId: upload.uploadId }));
    });
    const { successful, failed } = await uppy.upload();
    return { stored: successful.length, failed: failed.map((file) => file.error) };
  };
  page.kept = (name) => JSON.parse(localStorage.getItem(`parts of ${name}`));
}
