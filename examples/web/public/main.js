// Puts the page together: who is signed in, what is dropped or chosen, and what is said about it.
import { signedIn } from './api.js';
import { Library } from './library.js';
import { Uploads } from './uploads.js';

const at = (id) => document.getElementById(id);

/** Tells people something, with a button if there is something to be done about it. */
function say(text, action) {
  const said = at('said');
  said.replaceChildren(text);
  said.hidden = false;
  if (!action) return;
  const button = document.createElement('button');
  button.className = 'quiet';
  button.textContent = action.label;
  button.addEventListener('click', () => {
    said.hidden = true;
    action.run();
  });
  said.append(' ', button);
}

function takeFiles(add) {
  const zone = at('drop');
  const input = at('choose');
  input.addEventListener('change', () => {
    add(input.files);
    // The same file can be chosen again.
    input.value = '';
  });
  // A file that misses the zone is not opened in place of the page.
  for (const event of ['dragover', 'drop']) addEventListener(event, (drag) => drag.preventDefault());
  let inside = 0;
  const mark = (change) => {
    inside = change === 0 ? 0 : inside + change;
    zone.classList.toggle('over', inside > 0);
  };
  zone.addEventListener('dragenter', () => mark(1));
  zone.addEventListener('dragleave', () => mark(-1));
  zone.addEventListener('drop', (drag) => {
    mark(0);
    add([...drag.dataTransfer.files]);
  });
}

const session = await signedIn();
at('sign-in').hidden = session !== null;
at('app').hidden = session === null;
if (session) {
  at('user').textContent = session.user;
  const library = new Library(session, { list: at('files'), more: at('more'), empty: at('empty'), say });
  const uploads = new Uploads(session, { list: at('uploads'), unfinished: at('unfinished'), say, stored: (id) => library.show(id) });
  takeFiles((files) => uploads.add(files));
  await Promise.all([library.open(), uploads.showUnfinished()]);
}
document.body.dataset.ready = 'true';
