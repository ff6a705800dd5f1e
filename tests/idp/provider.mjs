// The identity provider that Scopegate is tested against: oidc-provider, set up for machines as clients and, by
// people.mjs, for whoever signs in to the console.
//
//     node provider.mjs FOLDER
//
// FOLDER/provider.json says which ports to take, who the clients are and where the certificates for mutual TLS
// are; FOLDER/keys.json keeps the signing keys, so that a provider that is started again still has them. Once
// everything listens, one line, "listening", is written to standard output. The provider ends when its standard
// input does, so that it never outlives the test that started it.
//
// What the tests do to it while it runs (new keys, slow answers) is control.mjs's.

import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';

import Provider, { errors } from 'oidc-provider';

import { Control } from './control.mjs';
import { Keys } from './keys.mjs';
import { CONSOLE, letIn } from './people.mjs';

const HOST = '127.0.0.1';

// What a token may be for (RFC 8707): the resource decides its form and how it is signed.
const RESOURCES = {
  'https://api.example.com': 'RS256',
  'https://api.example.com/ps256': 'PS256',
  'https://api.example.com/es256': 'ES256',
  'https://api.example.com/eddsa': 'EdDSA',
  'https://api.example.com/opaque': undefined,
  'https://other.example.com': 'RS256',
  'https://other.example.com/opaque': undefined,
};

const folder = process.argv[2];
if (folder === undefined) {
  console.error('usage: node provider.mjs FOLDER');
  process.exit(2);
}
const settings = JSON.parse(readFileSync(join(folder, 'provider.json'), 'utf8'));
const issuer = `http://${HOST}:${settings.port}`;

function resourceServer(keys, indicator, client) {
  if (!Object.hasOwn(RESOURCES, indicator)) throw new errors.InvalidTarget();
  const alg = RESOURCES[indicator];
  const common = { audience: indicator, scope: client.scope ?? '', accessTokenTTL: settings.lifetime };
  return alg === undefined
    ? { ...common, accessTokenFormat: 'opaque' }
    : { ...common, accessTokenFormat: 'jwt', jwt: { sign: { alg, kid: keys.kidFor(alg) } } };
}

// The client's certificate in PEM, if this connection has shown one.
function certificate(ctx) {
  const shown = ctx.socket.getPeerCertificate?.();
  return shown?.raw && new X509Certificate(shown.raw).toString();
}

function subjectMatches(ctx, property, expected) {
  const shown = new X509Certificate(certificate(ctx));
  switch (property) {
    case 'tls_client_auth_subject_dn': return shown.subject.split('\n').join(',') === expected;
    case 'tls_client_auth_san_dns': return shown.checkHost(expected, { subject: 'never' }) !== undefined;
    default: throw new Error(`no client should be registered by ${property}`);
  }
}

// A provider's keys are fixed when it is made, so that a change of them makes a new one; the tokens that it has
// issued are in a store which all providers of this process share. `people` says where the console takes those who
// have signed in, once there is one.
function make(keys, people) {
  const provider = new Provider(issuer, {
    clients: people ? [...settings.clients, { ...CONSOLE, redirect_uris: [people.back] }] : settings.clients,
    jwks: { keys: keys.all },
    scopes: settings.scopes,
    extraClientMetadata: { properties: ['account_id'] },
    extraTokenClaims: (ctx, token) => ({ account_id: token.client.account_id ?? undefined }),
    clientAuthMethods: ['client_secret_basic', 'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'],
    responseTypes: ['code'],
    findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientId.startsWith('gateway') },
      revocation: { enabled: true },
      dPoP: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        tlsClientAuth: true,
        selfSignedTlsClientAuth: true,
        getCertificate: certificate,
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: subjectMatches,
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, indicator, client) => resourceServer(keys, indicator, client),
      },
    },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  const answer = provider.callback();
  return (request, response) => (
    request.url.startsWith('/interaction/') ? letIn(provider, people.person, request, response) : answer(request, response)
  );
}

const keys = new Keys(join(folder, 'keys.json'));
const control = new Control(keys, make);
const read = (name) => readFileSync(join(folder, name));
const servers = [
  [settings.port, createServer(control.handler)],
  [settings.controlPort, createServer(control.commands)],
  [settings.tlsPort, createTlsServer({
    key: read(settings.tls.key),
    cert: read(settings.tls.certificate),
    ca: read(settings.tls.clientAuthority),
    requestCert: true,
    // Self-signed certificates are clients' as well; the provider looks at each itself.
    rejectUnauthorized: false,
  }, control.handler)],
];
await Promise.all(servers.map(([port, server]) => once(server.listen(port, HOST), 'listening')));
console.log('listening');

process.stdin.on('end', () => process.exit(0)).resume();
