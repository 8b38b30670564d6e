// A file of an app in many parts: one breaks off and is sent again, one is sent with other bytes first, and all of it comes back.
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { MIB, data, equal, holds, main, test } from '../cases.mjs';
import { V1, ann, bytes, good } from './app.mjs';

const PARTS = Number(process.env.COMPAT_PARTS);
const PART = Number(process.env.COMPAT_PART_MIB) * MIB;
const SIZE = PARTS * PART - 12_345;
const PAGE = 4096;
const BLOCK = data(1, PART);

/** One block for all parts, with the number of the part on every page; the last is shorter. */
function part(number) {
  const made = Buffer.from(BLOCK);
  for (let at = 0; at < PART; at += PAGE) made.writeUInt32LE(number, at);
  return made.subarray(0, Math.min(PART, SIZE - (number - 1) * PART));
}

async function put(upload, partNumber, content) {
  const { url } = await good(ann, 'POST', '/files/multipart/presigned-url', { ...upload, partNumber });
  const answer = await fetch(url, { method: 'PUT', body: content });
  equal([answer.status, (await answer.text())], [200, ''], `part ${partNumber}`);
  equal(answer.headers.get('etag'), `"${createHash('md5').update(content).digest('hex')}"`, `part ${partNumber}`);
  return { partNumber, etag: answer.headers.get('etag') };
}

/** Sends half of a part and goes away. */
async function broken(upload, partNumber, content) {
  const { url } = await good(ann, 'POST', '/files/multipart/presigned-url', { ...upload, partNumber });
  const { hostname, port, host, pathname, search } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(`PUT ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${content.length}\r\n\r\n`);
  await new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.end(content.subarray(0, content.length / 2), resolve);
  });
  socket.destroy();
}

test('in_parts_and_back', async () => {
  const begun = await good(ann, 'POST', '/files/multipart/init', { filename: 'a long film.bin', contentType: 'application/octet-stream', fileSize: SIZE });
  const upload = { uploadId: begun.uploadId, key: begun.key };
  const whole = createHash('sha256');
  const parts = [];
  const started = performance.now();
  for (let number = 1; number <= PARTS; number += 1) {
    const content = part(number);
    whole.update(content);
    if (number === 2) await broken(upload, number, content);
    if (number === 3) await put(upload, number, part(PARTS + 1).subarray(0, content.length));
    parts.push(await put(upload, number, content));
  }
  const { parts: arrived } = await good(ann, 'GET', `/files/multipart/${upload.uploadId}/parts`);
  equal(arrived.map(({ partNumber, etag }) => ({ partNumber, etag })), parts, 'what has arrived');
  equal(arrived.reduce((all, { size }) => all + size, 0), SIZE);
  const done = await good(ann, 'POST', '/files/multipart/complete', { ...upload, parts });
  const sent = performance.now();
  equal(done.size, SIZE);
  const digests = parts.map(({ etag }) => Buffer.from(etag.slice(1, -1), 'hex'));
  equal(done.etag, `"${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${PARTS}"`);

  const file = await good(ann, 'GET', `/files/${begun.fileId}`);
  equal([file.size, file.status, file.etag], [SIZE, 'active', done.etag]);
  const content = `${V1}/files/${begun.fileId}/content`;
  // Ranges that follow no border of a part, a stripe or a page.
  const step = Math.min(100_000_007, Math.ceil(SIZE / 5));
  const read = createHash('sha256');
  for (let at = 0; at < SIZE; at += step) {
    const last = Math.min(at + step, SIZE) - 1;
    const answer = await fetch(content, { headers: { ...ann, Range: `bytes=${at}-${last}`, 'If-Match': done.etag } });
    equal([answer.status, answer.headers.get('content-range')], [206, `bytes ${at}-${last}/${SIZE}`]);
    for await (const piece of answer.body) read.update(piece);
  }
  equal(read.digest('hex'), whole.digest('hex'), 'the hash of all of it');
  const border = await fetch(content, { headers: { ...ann, Range: `bytes=${2 * PART - 10}-${2 * PART + 9}` } });
  equal(await bytes(border), Buffer.concat([part(2).subarray(-10), part(3).subarray(0, 10)]), 'around the parts that were sent twice');
  const rate = (from, to) => Math.round(SIZE / MIB / ((to - from) / 1000));
  console.log(`${Math.round(SIZE / MIB)} MiB in ${PARTS} parts: sent at ${rate(started, sent)} MiB/s, read by ranges at ${rate(sent, performance.now())} MiB/s`);
  await good(ann, 'DELETE', `/files/${begun.fileId}?purge=true`);
  const { count } = await good(ann, 'GET', '/files/usage');
  holds(count === 0, 'nothing is left');
});

await main();
