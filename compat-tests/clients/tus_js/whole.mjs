// Uploads through tus-js-client: whole, in pieces, broken off and resumed, in parallel, refused.
import { createHash } from 'node:crypto';
import { ENDPOINT, MIB, data, equal, holds, load, main, test } from '../cases.mjs';

const tus = load('tus-js-client');
const key = { 'X-API-Key': process.env.COMPAT_API_KEY };
const endpoint = `${ENDPOINT}/v1/tus`;

function upload(content, options = {}, begun = () => {}) {
  const answers = [];
  return new Promise((resolve, reject) => {
    const one = new tus.Upload(content, {
      endpoint,
      headers: key,
      retryDelays: [0, 100, 500],
      metadata: { filename: 'words.txt', filetype: 'text/plain' },
      onAfterResponse: (_request, response) => answers.push([response.getStatus(), response.getHeader('Upload-File-Id')]),
      onError: reject,
      onSuccess: () => resolve({ one, answers }),
      ...options,
    });
    begun(one);
    one.start();
  });
}

async function body(address) {
  const head = await fetch(address, { method: 'HEAD', headers: { ...key, 'Tus-Resumable': '1.0.0' } });
  equal(head.status, 200);
  const file = head.headers.get('upload-file-id');
  const told = await fetch(`${ENDPOINT}/v1/files/${file}/content`, { headers: key });
  equal(told.status, 200);
  return Buffer.from(await told.arrayBuffer());
}

const text = (seed, length) => Buffer.from(data(seed, length).toString('hex').slice(0, length));

test('whole', async () => {
  const content = text(1, 3 * MIB + 7);
  const { one } = await upload(content);
  equal(await body(one.url), content);
});

test('in_pieces', async () => {
  const content = text(2, 2 * MIB + 1);
  const { one } = await upload(content, { chunkSize: 300_000 });
  equal(await body(one.url), content);
});

test('with_the_creation', async () => {
  const content = text(3, 100_000);
  const { one, answers } = await upload(content, { uploadDataDuringCreation: true });
  equal(answers.map(([status]) => status), [201]);
  equal(await body(one.url), content);
});

test('of_no_bytes', async () => {
  const { one } = await upload(Buffer.alloc(0));
  equal((await body(one.url)).length, 0);
});

test('aborted_and_resumed', async () => {
  const content = text(4, 6 * MIB);
  let address;
  await new Promise((resolve, reject) => {
    const one = new tus.Upload(content, {
      endpoint,
      headers: key,
      chunkSize: MIB,
      metadata: { filename: 'words.txt', filetype: 'text/plain' },
      onError: reject,
      onSuccess: () => reject(new Error('it was to be aborted')),
      onChunkComplete: (_size, accepted) => {
        if (accepted < 2 * MIB) return;
        address = one.url;
        one.abort().then(resolve, reject);
      },
    });
    one.start();
  });
  const offsets = [];
  const { one } = await upload(content, { uploadUrl: address, chunkSize: MIB, onChunkComplete: (_size, accepted) => offsets.push(accepted) });
  holds(offsets[0] >= 3 * MIB, 'it goes on where it was');
  equal(one.url, address);
  equal(await body(address), content);
});

test('in_parallel', async () => {
  const content = text(5, 5 * MIB + 3);
  const { one } = await upload(content, { parallelUploads: 4 });
  equal(await body(one.url), content);
});

test('given_up', async () => {
  const content = text(6, MIB);
  let address;
  await new Promise((resolve, reject) => {
    const one = new tus.Upload(content, {
      endpoint,
      headers: key,
      chunkSize: 100_000,
      onError: reject,
      onSuccess: () => reject(new Error('it was to be given up')),
      onChunkComplete: () => {
        address = one.url;
        one.abort(true).then(resolve, reject);
      },
    });
    one.start();
  });
  const head = await fetch(address, { method: 'HEAD', headers: { ...key, 'Tus-Resumable': '1.0.0' } });
  equal(head.status, 404);
});

test('a_wrong_checksum', async () => {
  const content = text(7, 1000);
  const sha1 = (bytes) => `sha1 ${createHash('sha1').update(bytes).digest('base64')}`;
  const of = (checksum) => ({
    retryDelays: null,
    onBeforeRequest: (request) => {
      if (request.getMethod() === 'PATCH') request.setHeader('Upload-Checksum', checksum);
    },
  });
  let refused;
  try {
    await upload(content, of(sha1('other')));
  } catch (error) {
    refused = error.originalResponse?.getStatus();
  }
  equal(refused, 460);
  const { one } = await upload(content, of(sha1(content)));
  equal(await body(one.url), content);
});

await main();
