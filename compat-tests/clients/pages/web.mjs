// The page of examples/web in a real browser, and its form without a script.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { MIB, equal, holds, main, test } from '../cases.mjs';
import { Gate, IN_SOCKETS, crash, launch, open } from './browser.mjs';

const { COMPAT_FILES: FILES, COMPAT_SCREENSHOTS: SCREENSHOTS, COMPAT_PK: KEY, COMPAT_ISSUER_SECRET: SECRET } = process.env;
const LARGE = Number(process.env.COMPAT_LARGE_MB) * 1_000_000;

const store = new URL(process.env.COMPAT_ENDPOINT);
const gate = await Gate.before(Number(store.port));
const drystone = `http://127.0.0.1:${gate.port}`;
const { serve } = await import(`${process.env.COMPAT_EXAMPLE}/server.mjs`);
const app = await serve({ drystone, key: KEY, environment: 'shop/dev', secret: SECRET, port: 0 });
const home = `http://127.0.0.1:${app.address().port}`;
const profile = join(FILES, 'profile');
let browser = await launch(profile);
let page;

async function shown(name, of = page) {
  // Asked from here, since a page without scripts waits for nothing by itself.
  const painted = () => of.evaluate(() => [...document.images].every((image) => {
    image.loading = 'eager';
    return image.complete && image.naturalWidth > 0;
  }));
  for (let tries = 0; !(await painted()); tries += 1) {
    holds(tries < 600, `the pictures of ${name} are shown`);
    await setTimeout(100);
  }
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await of.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** Something to look at: the browser itself paints it. */
async function painted(name, hue, type = 'png') {
  const canvas = await browser.newPage();
  await canvas.setViewport({ width: 1200, height: 900 });
  await canvas.setContent(`<body style="margin:0;height:100vh;background:
    radial-gradient(circle at 70% 25%, hsl(${hue + 60} 90% 80%) 0 9%, transparent 10%),
    linear-gradient(165deg, transparent 62%, hsl(${hue + 150} 35% 25%) 62.2%),
    linear-gradient(195deg, transparent 55%, hsl(${hue + 130} 40% 38%) 55.2%),
    linear-gradient(hsl(${hue} 70% 45%), hsl(${hue + 40} 80% 75%))">`);
  const bytes = await canvas.screenshot({ type });
  await canvas.close();
  const path = join(FILES, name);
  writeFileSync(path, bytes);
  return path;
}

async function enter(name) {
  page = await open(browser, `${home}/`);
  await page.waitForSelector('body[data-ready]');
  if (await page.$('#sign-in:not([hidden])')) {
    await page.type('#name', name);
    await Promise.all([page.waitForNavigation(), page.click('#sign-in button')]);
    await page.waitForSelector('body[data-ready]');
  }
  equal(await page.$eval('#user', (user) => user.textContent), name);
}

async function choose(...paths) {
  const input = await page.$('#choose');
  await input.uploadFile(...paths);
}

/** The card of a file that is stored. */
async function card(name) {
  const handle = await page.waitForFunction(
    (wanted) => [...document.querySelectorAll('#files .file')].find((one) => one.querySelector('.name').textContent === wanted),
    {}, name,
  );
  return handle.asElement();
}

async function thumbnail(of) {
  const image = await of.waitForSelector('.picture img');
  await image.evaluate((one) => { one.loading = 'eager'; return one.decode(); });
  return image.evaluate((one) => ({ src: one.src, width: one.naturalWidth, height: one.naturalHeight }));
}

const key = (of) => of.evaluate((one) => one.dataset.key);
const anonymous = async (path) => {
  const answer = await fetch(`${store.origin}/shop-dev/${path}`);
  await answer.arrayBuffer();
  return answer.status;
};

async function switched(of, to) {
  const before = await of.$eval('.picture img', (image) => image.src);
  await (await of.$('.seen')).click();
  await of.waitForSelector(`.seen[aria-checked="${to}"]`);
  await page.waitForFunction((one, src) => one.querySelector('.picture img').src !== src, {}, of, before);
}

test('pictures_are_chosen_previewed_and_shown_by_their_address', async () => {
  await enter('ann');
  const paths = [await painted('morning in the hills.png', 200), await painted('late summer.jpg', 20, 'jpeg'), await painted('the other shore.png', 260)];
  // The preview is there before anything has been sent.
  const preview = page.waitForFunction(() => document.querySelector('#uploads .picture img')?.src.startsWith('blob:'), { polling: 'mutation' });
  await choose(...paths);
  await preview;
  for (const path of paths) {
    const of = await card(path.split('/').at(-1));
    const seen = await thumbnail(of);
    holds(seen.src.startsWith(`${drystone}/v1/img/shop/dev/400x300/smart/`), seen.src);
    equal([seen.width, seen.height], [400, 300]);
    equal(await anonymous(await key(of)), 403, 'private at first');
  }
  equal(await page.$$eval('#uploads .upload', (rows) => rows.length), 0, 'nothing is on its way any more');
});

test('a_dropped_file_is_taken', async () => {
  await page.evaluate(() => {
    const dropped = new DataTransfer();
    dropped.items.add(new File(['Walls without mortar.\n'], 'notes.txt', { type: 'text/plain' }));
    const zone = document.getElementById('drop');
    for (const type of ['dragenter', 'dragover', 'drop']) zone.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: dropped }));
  });
  const of = await card('notes.txt');
  equal(await of.$eval('.picture', (picture) => picture.textContent), 'TXT');
});

test('the_switch_opens_and_closes_a_file', async () => {
  const of = await card('late summer.jpg');
  const path = await key(of);
  equal(await anonymous(path), 403);
  await switched(of, true);
  equal(await anonymous(path), 200);
  const open = await thumbnail(of);
  holds(open.width === 400 && !open.src.includes('X-Amz-Signature'), 'a public picture needs no signature');
  await switched(of, false);
  equal(await anonymous(path), 403);
  holds((await thumbnail(of)).width === 400, 'its owner still sees it');
  await switched(of, true);
});

test('what_was_deleted_comes_back', async () => {
  const of = await card('notes.txt');
  await (await of.$('.delete')).click();
  await page.waitForFunction(() => ![...document.querySelectorAll('#files .name')].some((name) => name.textContent === 'notes.txt'));
  await (await page.waitForSelector('#said button')).click();
  await card('notes.txt');
  await page.reload();
  await card('notes.txt');
});

async function largeFile() {
  const path = join(FILES, 'a long film.bin');
  const out = createWriteStream(path);
  const block = Buffer.alloc(MIB);
  for (let at = 0; at < LARGE; at += MIB) {
    // No two blocks are alike, so that a piece at the wrong place is found.
    createHash('sha512').update(String(at)).digest().copy(block);
    for (let filled = 64; filled < MIB; filled *= 2) block.copy(block, filled, 0, filled);
    if (!out.write(Buffer.from(block.subarray(0, Math.min(MIB, LARGE - at))))) await once(out, 'drain');
  }
  await new Promise((resolve) => { out.end(resolve); });
  return path;
}

async function digest(stream) {
  const hash = createHash('sha256');
  for await (const bytes of stream) hash.update(bytes);
  return hash.digest('hex');
}

test('a_large_file_goes_on_where_its_page_was_killed', async () => {
  const path = await largeFile();
  const half = gate.shutAfter(LARGE / 2);
  await choose(path);
  await half;
  await page.waitForFunction(() => document.querySelector('#uploads progress')?.value > 0.4);
  await shown('half-way');
  await crash(page);
  gate.drop();
  await browser.close();

  browser = await launch(profile);
  await enter('ann');
  await page.waitForFunction(() => document.querySelector('#unfinished:not([hidden]) li')?.textContent.includes('a long film.bin'));
  await shown('broken-off');
  gate.open();
  await choose(path);
  const of = await card('a long film.bin');
  const again = gate.sent;
  console.log(`sent after the page was killed: ${again} bytes of ${LARGE}`);
  holds(again > LARGE * 0.45 && again < LARGE * 0.51 + IN_SOCKETS, `about half is sent again, and not ${again} of ${LARGE} bytes`);
  const link = await of.$eval('.name', (name) => name.href);
  const stored = await fetch(link);
  equal(Number(stored.headers.get('content-length')), statSync(path).size);
  equal(await digest(stored.body), await digest(createReadStream(path)));
  await page.waitForFunction(() => document.getElementById('unfinished').hidden);
});

test('it_is_read_by_ear_and_fits_a_phone', async () => {
  for (const [role, name] of [['switch', 'Everybody may see late summer.jpg'], ['button', 'Delete late summer.jpg'], ['link', 'late summer.jpg']]) {
    holds(await page.$(`::-p-aria([name="${name}"][role="${role}"])`), `a ${role} is called ${name}`);
  }
  await shown('desk');
  await page.setViewport({ width: 390, height: 844, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
  // That loads the page anew.
  await card('late summer.jpg');
  await shown('phone');
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  holds(content <= screen, `${content} pixels of content on a screen of ${screen}`);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  await page.setViewport({ width: 1100, height: 800 });
  await card('late summer.jpg');
  await shown('dark');
  equal(page.wrong, [], 'no script of the page failed');
});

test('a_form_without_a_script_uploads', async () => {
  const plain = await open(browser, `${home}/form`, { script: false });
  equal(await plain.$eval('h1', (title) => title.textContent), 'Files, without a script');
  await plain.select('#visibility', 'public');
  const input = await plain.$('#file');
  await input.uploadFile(await painted('by form.png', 90));
  await Promise.all([plain.waitForNavigation(), plain.click('.plain button')]);
  equal(await plain.$eval('.said', (said) => said.textContent), 'by form.png is stored.');
  const item = await plain.$('.files .file');
  equal(await item.$eval('.name', (name) => name.textContent), 'by form.png');
  const src = await item.$eval('img', (image) => image.src);
  const answer = await fetch(src);
  equal([answer.status, answer.headers.get('content-type')?.startsWith('image/')], [200, true]);
  await shown('form', plain);
  equal(plain.wrong, []);
  // Nobody else's form, and nobody who is not signed in.
  const stranger = await fetch(`${home}/form`, { method: 'POST', body: new FormData(), redirect: 'manual' });
  equal([stranger.status, stranger.headers.get('location')], [303, '/form']);
});

// Ending, this process takes the browser along.
await main();
