// Files over Node.js's `http`, with every habit that has ever let a request past a proxy: its lenient parser, targets
// from headers, methods from headers, decoding until nothing changes, `;` and `\` in paths, overlong UTF-8.
import { createServer } from 'node:http';
import { readFileSync, statSync } from 'node:fs';
import { join, normalize } from 'node:path/posix';

const ROOT = '@FOLDER@/root';
const TARGETS = ['x-original-url', 'x-original-uri', 'x-rewrite-url', 'x-original-path', 'x-override-url', 'x-forwarded-uri',
  'x-forwarded-path', 'x-forwarded-url', 'x-envoy-original-path', 'x-http-destinationurl'];
const METHODS = ['x-http-method-override', 'x-http-method', 'x-method-override', 'x-original-method'];

// As CGI has names: no difference between `-`, `_` and `.`.
function header(request, names) {
  for (const [name, value] of Object.entries(request.headers)) {
    if (names.includes(name.toLowerCase().replace(/[._]/g, '-'))) return String(value);
  }
}

function decoded(text) {
  return text
    .replace(/%u([0-9a-f]{4})/gi, (_, digits) => fitted(String.fromCharCode(parseInt(digits, 16))))
    .replace(/%([0-9a-f]{2})/gi, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
}

// Overlong and look-alike characters for what they stand for; bytes are characters here.
function fitted(text) {
  return text
    .replace(/\xc0\xae|\xc0\x2e|\xe0\x80\xae|\xef\xbc\x8e|\uff0e/g, '.')
    .replace(/\xc0\xaf|\xe0\x80\xaf|\xf0\x80\x80\xaf|\xef\xbc\x8f|\xe2\x88\x95|\u2215/g, '/')
    .replace(/\xc1\x9c/g, '\\')
    .replace(/\xef\xbd\x93/g, 's')
    .replace(/\xc1\xb3/g, 's');
}

// Each reading of a target, from the most careful to the least.
function readings(target) {
  const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split(/[?#]/)[0];
  const all = [path];
  for (let text = path, n = 0; n < 4; n += 1) {
    text = fitted(decoded(text));
    all.push(text);
  }
  const bare = (text) => text.replace(/;[^/]*/g, '').replace(/\\/g, '/').replace(/\/[. ]+(?=\/)/g, (dots) => (dots.trim() === '/..' ? '/..' : dots));
  const cut = (text) => text.split(/[\0?#\r\n]/)[0].replace(/[. +]+$/, '').replace(/::\$[A-Z_]+/g, '');
  return [...all, ...all.map(bare), ...all.map((text) => cut(bare(text))), ...all.map((text) => bare(cut(text)).replace(/[. ]+(?=\/|$)/g, (dots) => (dots === '..' ? dots : '')))];
}

function file(target) {
  for (const reading of readings(target)) {
    for (const path of [reading, '/' + reading]) {
      try {
        const name = join(ROOT, normalize('/' + path));
        if (statSync(name).isFile()) return name;
      } catch { /* The next reading. */ }
    }
  }
}

const server = createServer({ insecureHTTPParser: true, requireHostHeader: false }, (request, response) => {
  request.resume();
  const method = header(request, METHODS) ?? request.method;
  const told = header(request, TARGETS);
  const name = (told && file(told)) || file(request.url);
  if (!name) return response.writeHead(404).end();
  if (name.includes('/locked/') && method !== 'DELETE') return response.writeHead(405).end();
  response.writeHead(200, { 'content-type': 'text/plain' }).end(readFileSync(name));
});
server.keepAliveTimeout = 5000;
server.listen(@PORT@, '127.0.0.1');
