// A browser with one profile, and a gate between its pages and the store that counts and can be shut.
import { connect, createServer } from 'node:net';
import { MIB, load } from '../cases.mjs';

const puppeteer = load('puppeteer-core').default ?? load('puppeteer-core');
const PATIENCE_MS = 120_000;
/** What kernels keep of a connection at most: passed on by the gate, and perhaps not read by the store when it is asked how far it is. */
export const IN_SOCKETS = 12 * MIB;

export async function launch(profile) {
  const browser = await puppeteer.launch({
    executablePath: process.env.COMPAT_BROWSER,
    userDataDir: profile,
    // It ends with this process, however that ends.
    pipe: true,
    protocolTimeout: PATIENCE_MS,
    // Its sandbox needs user namespaces, which root in a container often has not.
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'],
  });
  return browser;
}

/** A page that fails the run when one of its scripts does; `wrong` collects what went wrong in it. */
export async function open(browser, url, { script = true } = {}) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(String(error)));
  page.on('console', (line) => {
    // What the network says of a refusal is no mistake of the page.
    if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) wrong.push(line.text());
  });
  await page.setJavaScriptEnabled(script);
  await page.goto(url);
  return Object.assign(page, { wrong });
}

/** Ends a page as a crash does: nothing in it learns of it. */
export async function crash(page) {
  const crashed = new Promise((resolve) => { page.once('error', resolve); });
  const session = await page.createCDPSession();
  session.send('Page.crash').catch(() => {});
  await crashed;
}

/** Passes bytes on as they are, and counts those on their way to the store. Shut, it passes none of a connection that goes on. */
export class Gate {
  sent = 0;
  #limit = Infinity;
  #shut = () => {};
  #server;
  #pages = new Set();

  static async before(port) {
    const gate = new Gate();
    gate.#server = createServer((page) => gate.#pass(page, connect(port, '127.0.0.1')));
    await new Promise((resolve) => { gate.#server.listen(0, '127.0.0.1', resolve); });
    return gate;
  }

  get port() {
    return this.#server.address().port;
  }

  /** Counts anew. The promise holds once so many bytes were passed on; from then on none are. */
  shutAfter(bytes) {
    this.sent = 0;
    this.#limit = bytes;
    return new Promise((resolve) => { this.#shut = resolve; });
  }

  open() {
    this.sent = 0;
    this.#limit = Infinity;
    for (const page of this.#pages) page.resume();
  }

  /** Opens for new connections, and ends those that were held: what their pages had sent beyond never arrives. */
  drop() {
    for (const page of this.#pages) page.destroy();
    this.open();
  }

  close() {
    this.#server.close();
  }

  #pass(page, store) {
    this.#pages.add(page);
    store.pipe(page);
    page.on('data', (bytes) => {
      this.sent += bytes.length;
      if (!store.write(bytes) || this.sent >= this.#limit) page.pause();
      if (this.sent >= this.#limit) this.#shut();
    });
    store.on('drain', () => { if (this.sent < this.#limit) page.resume(); });
    // What was passed on arrives, also of a page that is gone.
    page.on('close', () => {
      this.#pages.delete(page);
      store.end();
    });
    page.on('error', () => store.end());
    store.on('error', () => page.destroy());
  }
}
