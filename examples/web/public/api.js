// Drystone as the page sees it: the key and the token on every request, and a new token in time.

const RENEW_BEFORE_MS = 5 * 60 * 1000;

let session = null;
let renewAt = 0;

/** Who is signed in, or null. */
export async function signedIn() {
  const answer = await fetch('/session', { cache: 'no-store' });
  if (!answer.ok) return null;
  session = await answer.json();
  renewAt = Date.now() + session.expiresIn * 1000 - RENEW_BEFORE_MS;
  return session;
}

/** The headers that every request brings. */
export async function headers() {
  if (Date.now() > renewAt && !(await signedIn())) throw new Error('You are signed out. Load the page again.');
  return { 'X-API-Key': session.key, Authorization: `Bearer ${session.token}` };
}

/** Asks the Files API; gives the fields of the answer, or throws what went wrong in words. */
export async function call(method, path, body) {
  const more = body === undefined ? {} : { 'Content-Type': 'application/json' };
  const answer = await fetch(`${session.drystone}/v1${path}`, {
    method,
    headers: { ...(await headers()), ...more },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const fields = await answer.json();
  if (!answer.ok) throw new Error(fields.message);
  return fields;
}
