// The provider's signing keys, newest first, kept in a file.

import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

// In PEM, and read again: Node.js 20 waits for itself for ever where a key is written as a JWK while the memory of the
// job that made it is collected.
const PEM = {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
};

const MADE = {
  RSA: () => generateKeyPairSync('rsa', { modulusLength: 2048, ...PEM }),
  EC: () => generateKeyPairSync('ec', { namedCurve: 'P-256', ...PEM }),
  OKP: () => generateKeyPairSync('ed25519', PEM),
};

const TYPE_FOR = { RS256: 'RSA', PS256: 'RSA', ES256: 'EC', EdDSA: 'OKP' };

export class Keys {
  #file;

  // Private JWKs.
  all = [];

  constructor(file) {
    this.#file = file;
    if (existsSync(file)) {
      this.all = JSON.parse(readFileSync(file, 'utf8'));
    } else {
      for (const type of Object.keys(MADE)) this.#add(type, `${type}-1`);
    }
  }

  // The key that signs with this algorithm: the newest of its type.
  kidFor(algorithm) {
    return this.all.find((key) => key.kty === TYPE_FOR[algorithm]).kid;
  }

  // A new RSA key, which signs from now on.
  add(kid) {
    this.#add('RSA', kid);
  }

  // Whether there was such a key.
  drop(kid) {
    const before = this.all.length;
    this.all = this.all.filter((key) => key.kid !== kid);
    this.#save();
    return this.all.length < before;
  }

  #add(type, kid) {
    const key = createPrivateKey(MADE[type]().privateKey);
    this.all.unshift({ ...key.export({ format: 'jwk' }), use: 'sig', kid });
    this.#save();
  }

  #save() {
    writeFileSync(this.#file, JSON.stringify(this.all));
  }
}
