// Both contracts, tried on a real server by Schemathesis: what it makes of the documents, the
// server must take or refuse as they say.
//
// Lives here: the server, a key that may do all, a run for each contract. Not here: what is tried
// and left out (schemathesis.toml).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { ADMIN_EMAIL, Server } from './rig/server.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const schemathesis =
  process.env['SCHEMATHESIS'] ?? here('../target/xtask/schemathesis/bin/schemathesis');
/** Nothing is refused for being asked too often: how often is not what the documents say. */
const PATIENT = [
  ...['--requests-per-minute', '--key-requests-per-minute', '--address-requests-per-minute'],
  ...['--agent-messages-per-minute', '--messages-per-minute'],
  ...['--requests-burst', '--key-requests-burst', '--address-requests-burst'],
  ...['--logins-per-account-max', '--logins-per-account-strangers-max', '--logins-per-ip-max'],
].flatMap((flag) => [flag, '1000000']);
const SCOPES = [
  ...['conversations:read', 'conversations:write', 'visitors:read', 'sites:read', 'sites:write'],
  ...['agents:read', 'agents:write', 'tags:read', 'tags:write'],
];

/** Answers what was said and the exit code. */
function runs(contract, key, folder) {
  const words = ['--config-file', here('schemathesis.toml'), 'run', contract, '--no-color'];
  const child = spawn(schemathesis, words, {
    cwd: folder,
    env: { ...process.env, CONTRACT_KEY: key, PYTHONIOENCODING: 'utf-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const end of [child.stdout, child.stderr]) end.on('data', (chunk) => (said += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, said }));
  });
}

/** A key of the first Organization that may do all that a key may. */
async function programsKey(server) {
  const origin = server.addresses.public;
  const post = async (path, body, cookie = '') => {
    const headers = { origin, cookie, 'content-type': 'application/json' };
    const answer = await fetch(origin + path, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    assert.ok(answer.ok, `${path}: ${answer.status}`);
    return answer;
  };
  const session = await post('/v1/sessions', { email: ADMIN_EMAIL, password: server.password });
  const cookie = session.headers
    .getSetCookie()
    .map((one) => one.split(';')[0])
    .join('; ');
  return (await (await post('/v1/keys', { name: 'All', scopes: SCOPES }, cookie)).json()).text;
}

const KEYS = { public: programsKey, admin: (server) => server.operatorKey() };

describe('the server keeps its contract', { concurrency: true }, () => {
  for (const [listener, keyOf] of Object.entries(KEYS)) {
    test(listener, async (t) => {
      const server = await Server.fresh(PATIENT);
      const folder = await mkdtemp(join(tmpdir(), 'livehelp-contract-'));
      try {
        const contract = `${server.addresses[listener]}/v1/openapi.json`;
        const { code, said } = await runs(contract, await keyOf(server), folder);
        assert.equal(code, 0, said);
        t.diagnostic(`Summary [${listener}] ${said.match(/\d+ generated.*/)?.[0]}`);
      } finally {
        await server.stop();
        await rm(folder, { recursive: true, force: true });
      }
    });
  }
});
