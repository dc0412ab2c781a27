// A wire between browsers and the server that can be cut, as a tunnel does it: nothing is closed,
// nothing comes through.
//
// Lives here: passing bytes on, or not. Whose they are is told by the origin that a browser names
// in its first words.

import { connect, createServer } from 'node:net';

export class Wire {
  #server;
  /** Origins whose bytes stay where they are. */
  #cut = new Set();
  #ends = new Set();

  /** A wire on a port of its own, to a port that may not listen yet. */
  static async to(port) {
    const wire = new Wire();
    wire.#server = createServer((browser) => wire.#join(browser, connect(port, '127.0.0.1')));
    await new Promise((resolve) => wire.#server.listen(0, '127.0.0.1', resolve));
    return wire;
  }

  get port() {
    return this.#server.address().port;
  }

  /** From now on nothing passes to or from pages of this origin. */
  cut(origin) {
    this.#cut.add(origin);
  }

  /** What was held back flows again. */
  mend(origin) {
    this.#cut.delete(origin);
    for (const end of this.#ends) end.emit('mended');
  }

  async stop() {
    for (const end of this.#ends) end.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(browser, server) {
    let origin;
    const pass = async (from, to) => {
      for await (const chunk of from) {
        origin ??= /^origin: (\S+)/im.exec(chunk.toString('latin1'))?.[1];
        while (this.#cut.has(origin)) await new Promise((resolve) => from.once('mended', resolve));
        to.write(chunk);
      }
      to.end();
    };
    for (const [from, to] of [
      [browser, server],
      [server, browser],
    ]) {
      this.#ends.add(from);
      from.on('close', () => this.#ends.delete(from));
      pass(from, to).catch(() => to.destroy());
    }
  }
}
