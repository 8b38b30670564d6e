// What apps of the suite's project share: who asks, how they ask, and what they look at.
import { createHmac } from 'node:crypto';
import { ENDPOINT, data, equal, holds } from '../cases.mjs';

export const { COMPAT_PK: PK, COMPAT_SK: SK, COMPAT_READ_SK: READ_SK, COMPAT_ISSUER_SECRET: SECRET, COMPAT_BUCKET: BUCKET } = process.env;
export const V1 = `${ENDPOINT}/v1`;

export function token(sub, claims = {}, secret = SECRET, alg = 'HS256') {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg, typ: 'JWT' })}.${part({ sub, exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  const hash = { HS256: 'sha256', HS384: 'sha384', none: null }[alg];
  return `${body}.${hash ? createHmac(hash, secret).update(body).digest('base64url') : ''}`;
}

export const ann = { 'X-API-Key': PK, Authorization: `Bearer ${token('ann')}` };
export const bob = { 'X-API-Key': PK, Authorization: `Bearer ${token('bob')}` };
export const guest = { 'X-API-Key': PK };
export const server = { 'X-API-Key': SK };
export const reader = { 'X-API-Key': READ_SK };

export async function call(who, method, path, body, more = {}) {
  const headers = { ...who, ...more };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const answer = await fetch(`${V1}${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, json: text ? JSON.parse(text) : null, headers: answer.headers };
}

export async function good(who, method, path, body, status = 200) {
  const answer = await call(who, method, path, body);
  equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.json)}`);
  return answer.json;
}

export async function refused(who, method, path, body, status, code) {
  const { status: found, json } = await call(who, method, path, body);
  equal([found, json.success, json.error.code, json.statusCode], [status, false, code, status], `${method} ${path}`);
  holds(json.message && json.message === json.error.message, 'the message stands in both places');
}

export { unwrapped } from '../../../examples/bkend/files.mjs';

export const put = (url, body, type = 'image/png') => fetch(url, { method: 'PUT', headers: { 'Content-Type': type }, body });
export const status = async (response) => { const { status } = response; await response.arrayBuffer(); return status; };
export const bytes = async (response) => Buffer.from(await response.arrayBuffer());

/** What an S3 address refuses, and how it calls that. */
export async function fails(answer, status, code, what) {
  const said = (await bytes(answer)).toString();
  equal([answer.status, /<Code>(\w+)<\/Code>/.exec(said)?.[1]], [status, code], what);
}

// The smallest PNG there is, with what makes it another one behind its end.
export const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
export const png = (seed, length = 0) => Buffer.concat([PNG, data(seed, length)]);

export async function stored(who, name, content, more = {}) {
  const signed = await good(who, 'POST', '/files/presigned-url', { filename: name, contentType: 'image/png', fileSize: content.length, ...more });
  equal(await status(await put(signed.url, content)), 200, 'PUT');
  return good(who, 'POST', '/files', { s3Key: signed.key, originalName: name, mimeType: 'image/png', size: content.length, ...more }, 201);
}
