// What a page's connection received, read off the wire outside the page and the server: which
// messages were acked.
//
// Lives here: just enough MessagePack to tell `send` from `ack` and pair them. Not here: the rest
// of the wire (docs/wire.md).

const SEND = 2;
const ACK = 65;

export class Journal {
  /** Ids of messages that the server said are stored, in the order of their acks. */
  acked = [];
  #moments = new Map();

  /** The next `open`, `sent` or `acked` on this page's connection. */
  next(moment) {
    return new Promise((resolve) =>
      this.#moments.set(moment, [...(this.#moments.get(moment) ?? []), resolve]),
    );
  }

  #comes(moment) {
    for (const resolve of this.#moments.get(moment) ?? []) resolve();
    this.#moments.delete(moment);
  }

  constructor(page) {
    page.on('websocket', (socket) => {
      const sent = new Map();
      this.#comes('open');
      socket.on('framesent', ({ payload }) => {
        const frame = new Frame(payload);
        if (frame.kind !== SEND) return;
        const request = frame.number();
        frame.id();
        sent.set(request, `msg_${frame.id()}`);
        this.#comes('sent');
      });
      socket.on('framereceived', ({ payload }) => {
        const frame = new Frame(payload);
        if (frame.kind !== ACK) return;
        const message = sent.get(frame.number());
        if (message === undefined) return;
        this.acked.push(message);
        this.#comes('acked');
      });
    });
  }
}

class Frame {
  #bytes;
  #at = 0;
  kind;

  constructor(payload) {
    this.#bytes = Buffer.from(payload);
    // An array of up to 15 fields, the first of them the kind.
    this.kind = (this.#bytes[this.#at++] & 0xf0) === 0x90 ? this.number() : undefined;
  }

  number() {
    const first = this.#bytes[this.#at++];
    if (first < 0x80) return first;
    const length = 2 ** (first - 0xcc);
    const value = this.#bytes.readUIntBE(this.#at, Math.min(length, 6));
    this.#at += length;
    return value;
  }

  /** 16 bytes as hex digits. */
  id() {
    const from = this.#at + 2;
    this.#at = from + 16;
    return this.#bytes.subarray(from, this.#at).toString('hex');
  }
}
