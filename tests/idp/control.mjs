// What a test does to the provider while it runs, over HTTP on a port of its own:
//
//     GET  /requests               how many requests each path has had: {"/jwks": 2, "/token": 5}
//     POST /keys/add?kid=second    a new RSA key, which signs from now on
//     POST /keys/drop?kid=first    a key that is gone from the set
//     POST /slow?path=/jwks&ms=500 answers to this path come that much later; 0 ends it
//     POST /fresh?seconds=60       the `max-age` of the key set
//     POST /people?back=URL&person=ada   who signs in to the console, and where it takes them then

export class Control {
  #keys;

  #make;

  #provider;

  #requests = {};

  #delays = new Map();

  #fresh;

  #people;

  constructor(keys, make) {
    this.#keys = keys;
    this.#make = make;
    this.#provider = make(keys);
  }

  // The provider, counted and slowed.
  handler = (request, response) => {
    const { pathname } = new URL(request.url, 'http://provider');
    this.#requests[pathname] = (this.#requests[pathname] ?? 0) + 1;
    if (pathname === '/jwks' && this.#fresh !== undefined) {
      response.setHeader('Cache-Control', `max-age=${this.#fresh}`);
    }
    // The newest provider at the time of the answer, not of the question.
    setTimeout(() => this.#provider(request, response), this.#delays.get(pathname) ?? 0);
  };

  // The control port.
  commands = (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://control');
    const [status, answer] = this.#obey(`${request.method} ${pathname}`, Object.fromEntries(searchParams));
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
  };

  #obey(command, { kid, path, ms, seconds, back, person }) {
    switch (command) {
      case 'GET /requests':
        return [200, this.#requests];
      case 'POST /keys/add':
        this.#keys.add(kid);
        break;
      case 'POST /keys/drop':
        if (!this.#keys.drop(kid)) return [404, `there is no key ${kid}`];
        break;
      case 'POST /slow':
        this.#delays.set(path, Number(ms));
        return [200, {}];
      case 'POST /fresh':
        this.#fresh = Number(seconds);
        return [200, {}];
      case 'POST /people':
        this.#people = { back, person };
        break;
      default:
        return [404, `there is no command ${command}`];
    }
    this.#provider = this.#make(this.#keys, this.#people);
    return [200, this.#keys.all.map((key) => key.kid)];
  }
}
