// The real server, as its own process, on a folder of its own that is gone afterwards.
//
// Lives here: preparing, starting, killing and ending it. Not here: browsers (browser.mjs), who
// does what (people.mjs).

import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const READY_MS_MAX = 20_000;

/** The admin whom every fresh server knows. */
export const ADMIN_EMAIL = 'ada@example.test';
export const ADMIN_NAME = 'Ada Adams';

const binary =
  process.env['E2E_SERVER'] ??
  fileURLToPath(new URL('../../target/debug/livehelp', import.meta.url));

/**
 * A port that was free a moment ago; a server that is killed must come back on the port its clients
 * know.
 */
async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

export class Server {
  #folder;
  #ports;
  #process;
  #said = '';
  #flags;
  password = randomBytes(18).toString('base64url');
  /** The addresses in use: public, admin, demo. */
  addresses;

  /**
   * A server with one organization, one site and one admin, running; `flags` are for `serve`. A
   * wire may stand before it.
   */
  static async fresh(flags = [], wired = undefined) {
    const server = new Server();
    server.#folder = await mkdtemp(join(tmpdir(), 'livehelp-e2e-'));
    server.#ports = { public: await freePort(), admin: await freePort(), demo: await freePort() };
    const wire = await wired?.(server.#ports.public);
    server.#flags =
      wire === undefined ? flags : [...flags, '--public-url', `http://127.0.0.1:${wire.port}`];
    await mkdir(server.#at('keys'), { mode: 0o700 });
    await writeFile(server.#at('password'), server.password, { mode: 0o600 });
    await promisify(execFile)(binary, [
      'init',
      ...['--data', server.#at('data'), '--keys', server.#at('keys')],
      ...['--organization', 'Kettle & Leaf', '--site', 'Kettle & Leaf'],
      ...['--origin', `http://127.0.0.1:${server.#ports.demo}`],
      ...['--admin-email', ADMIN_EMAIL, '--admin-name', ADMIN_NAME],
      ...['--admin-password-file', server.#at('password')],
    ]);
    await server.start();
    // Agents go where the server says that it is: no other origin acts with their cookie.
    if (wire !== undefined) server.addresses.public = `http://127.0.0.1:${wire.port}`;
    return server;
  }

  #at(name) {
    return join(this.#folder, name);
  }

  /** Starts it on its folder and its ports; answers when it says that it is ready. */
  async start() {
    const child = spawn(
      binary,
      [
        ...['serve', '--demo', '--data', this.#at('data'), '--keys', this.#at('keys')],
        ...['--drain-grace-ms', '0', '--drain-ms', '500'],
        ...['--listen', `127.0.0.1:${this.#ports.public}`],
        ...['--admin-listen', `127.0.0.1:${this.#ports.admin}`],
        ...['--demo-listen', `127.0.0.1:${this.#ports.demo}`],
        ...this.#flags,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#process = child;
    child.stderr.on('data', (chunk) => (this.#said += chunk));
    this.addresses = await new Promise((resolve, reject) => {
      let line = '';
      const late = setTimeout(
        () => reject(new Error(`not ready in time:\n${this.#said}`)),
        READY_MS_MAX,
      );
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`ended with ${code}:\n${this.#said}`)));
      child.stdout.on('data', (chunk) => {
        line += chunk;
        if (!line.includes('\n')) return;
        clearTimeout(late);
        const ready = JSON.parse(line.slice(0, line.indexOf('\n')));
        if (ready.ready === true) resolve(ready);
        else reject(new Error(`said something else first: ${line}`));
        line = '';
      });
    });
  }

  /** As a power cut would: no goodbye to anyone. */
  async kill() {
    await this.#end('SIGKILL');
  }

  /** Ends it in order and removes its folder; answers its exit code. */
  async stop() {
    const code = await this.#end('SIGTERM');
    await rm(this.#folder, { recursive: true, force: true });
    return code;
  }

  /** What its operator shows to the admin listener. */
  async operatorKey() {
    return (await readFile(this.#at('keys/operator-key'), 'utf8')).trim();
  }

  /** What it wrote to its log so far. */
  get log() {
    return this.#said;
  }

  async #end(signal) {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      return child?.exitCode;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    return ended;
  }
}
