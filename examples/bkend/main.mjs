// A picture's way through an app: uploaded, listed, shown, changed, closed, read by a link, and removed.
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';

import { Files } from './files.mjs';

const TYPES = { '.gif': 'image/gif', '.jpeg': 'image/jpeg', '.jpg': 'image/jpeg', '.png': 'image/png', '.webp': 'image/webp' };

const { API_URL = 'http://localhost:9000/v1', IMAGE_HOST = 'http://localhost:9000/v1/img/shop/dev', API_KEY, ACCESS_TOKEN } = process.env;
const [path] = process.argv.slice(2);
const type = path && TYPES[extname(path).toLowerCase()];
if (!API_KEY || !ACCESS_TOKEN || !type) {
  console.error('API_KEY=pk_… ACCESS_TOKEN=… node main.mjs PICTURE.jpg   (or .png, .webp, .gif)');
  process.exit(1);
}
const files = new Files({ api: API_URL, images: IMAGE_HOST, key: API_KEY, token: ACCESS_TOKEN });
const status = async (url) => {
  const answer = await fetch(url);
  await answer.arrayBuffer();
  return answer.status;
};

const picture = new Blob([await readFile(path)], { type });
const file = await files.upload(basename(path), picture, { visibility: 'public', bucket: 'images', metadata: { alt: 'A picture' } });
console.log(`uploaded ${file.id}, ${file.width} by ${file.height}`);

const thumbnail = files.image(file, { width: 200, height: 150, crop: true });
console.log(`thumbnail ${await status(thumbnail)} ${thumbnail}`);

let found = 0;
for await (const other of files.list({ bucket: 'images', mimeType: type, sortBy: 'createdAt', sortDirection: 'desc' })) {
  if (other.id === file.id) found += 1;
}
console.log(`listed ${found}`);

const changed = await files.change(file.id, { originalName: `My ${basename(path)}`, visibility: 'private' });
console.log(`renamed ${changed.originalName}`);
console.log(`thumbnail of a private file ${await status(thumbnail)}`);

const copy = Buffer.from(await (await fetch(await files.link(file.id))).arrayBuffer());
console.log(`read ${copy.length} of ${picture.size} bytes`);

await files.remove(file.id);
console.log(`removed ${await files.get(file.id).then(() => 'not', ({ status: answer }) => answer)}`);
