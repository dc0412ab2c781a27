// The part of MessagePack that the wire needs, as bytes to values and back.
//
// Lives here: nil, booleans, integers below 2^53, floats, text, bytes, arrays and maps, all bounded
// before anything is allocated. Not here: what the values mean (`codec.ts`).

/** Bytes that are not MessagePack, or a value that has no form in it. */
export class MsgpackError extends Error {}

export type Value = null | boolean | number | string | Uint8Array | Value[] | ValueMap;
export interface ValueMap {
  [key: string]: Value;
}

const utf8 = new TextEncoder();
const text_of = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** 2^32: an integer above it is written and read as two halves. */
const HALF = 0x1_0000_0000;

/** Writes one value. Integers take the fewest bytes that hold them. */
export function encode(value: Value): Uint8Array {
  let bytes = new Uint8Array(256);
  let view = new DataView(bytes.buffer);
  let at = 0;

  const room = (more: number): void => {
    if (at + more > bytes.length) {
      const wider = new Uint8Array(Math.max(bytes.length * 2, at + more));
      wider.set(bytes);
      bytes = wider;
      view = new DataView(bytes.buffer);
    }
  };
  const number = (marker: number, width: number, value: number): void => {
    room(9);
    if (marker >= 0) view.setUint8(at++, marker);
    if (width === 1) view.setUint8(at, value);
    else if (width === 2) view.setUint16(at, value);
    else if (width === 4) view.setUint32(at, value);
    else {
      view.setUint32(at, Math.floor(value / HALF));
      view.setUint32(at + 4, value >>> 0);
    }
    at += width;
  };
  const integer = (value: number): void => {
    // A negative one needs as much room as a positive one of twice its size, one form further on.
    const [form, size] = value < 0 ? [0xd0, -2 * value - 1] : [0xcc, value];
    if (value >= -0x20 && value < 0x80) number(-1, 1, value);
    else if (size < 0x100) number(form, 1, value);
    else if (size < 0x10000) number(form + 1, 2, value);
    else if (size < HALF) number(form + 2, 4, value);
    else number(form + 3, 8, value);
  };
  /** The head of something that has a length; `small` is 0 where there is no short form of it. */
  const head = (length: number, small: number, small_max: number, markers: readonly number[]): void => {
    const [one = 0, two = 0, four = 0] = markers;
    if (length <= small_max) number(-1, 1, small | length);
    else if (one > 0 && length < 0x100) number(one, 1, length);
    else if (length < 0x10000) number(two, 2, length);
    else number(four, 4, length);
  };
  const append = (more: Uint8Array): void => {
    room(more.length);
    bytes.set(more, at);
    at += more.length;
  };
  const write = (value: Value): void => {
    if (value === null) number(-1, 1, 0xc0);
    else if (value === false || value === true) number(-1, 1, value ? 0xc3 : 0xc2);
    else if (typeof value === 'number') {
      if (Number.isSafeInteger(value)) integer(value);
      else {
        room(9);
        view.setUint8(at, 0xcb);
        view.setFloat64(at + 1, value);
        at += 9;
      }
    } else if (typeof value === 'string') {
      const encoded = utf8.encode(value);
      head(encoded.length, 0xa0, 31, [0xd9, 0xda, 0xdb]);
      append(encoded);
    } else if (value instanceof Uint8Array) {
      head(value.length, 0, -1, [0xc4, 0xc5, 0xc6]);
      append(value);
    } else if (Array.isArray(value)) {
      head(value.length, 0x90, 15, [0, 0xdc, 0xdd]);
      value.forEach(write);
    } else {
      const keys = Object.keys(value);
      head(keys.length, 0x80, 15, [0, 0xde, 0xdf]);
      for (const key of keys) {
        write(key);
        write(value[key] ?? null);
      }
    }
  };
  write(value);
  return bytes.slice(0, at);
}

/**
 * Reads one value that fills the bytes. No length is believed before the bytes for it are seen.
 * @throws MsgpackError if the bytes are anything else, or nest deeper than `depth_max`.
 */
export function decode(bytes: Uint8Array, depth_max: number): Value {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  const take = (length: number): number => {
    if (length > bytes.length - at) throw new MsgpackError('cut short');
    const from = at;
    at += length;
    return from;
  };
  const integer = (sign: 'Int' | 'Uint', width: number): number => {
    const from = take(width);
    if (width === 8) return whole(view[`get${sign}32`](from) * HALF + view.getUint32(from + 4));
    return view[`get${sign}${(width * 8) as 8 | 16 | 32}`](from);
  };
  const unsigned = (width: number): number => integer('Uint', width);
  const text = (length: number): string => {
    const from = take(length);
    try {
      return text_of.decode(bytes.subarray(from, from + length));
    } catch {
      throw new MsgpackError('not UTF-8');
    }
  };
  const binary = (length: number): Uint8Array => {
    const from = take(length);
    return bytes.slice(from, from + length);
  };
  // Each item takes a byte or more, so a count above what is left is a lie.
  const count = (items: number, depth: number): number => {
    if (items > bytes.length - at) throw new MsgpackError('cut short');
    if (depth <= 0) throw new MsgpackError('too deep');
    return items;
  };
  const array = (length: number, depth: number): Value[] => {
    const items: Value[] = [];
    for (let left = count(length, depth); left > 0; left--) items.push(read(depth - 1));
    return items;
  };
  const map = (length: number, depth: number): ValueMap => {
    const entries = Object.create(null) as ValueMap;
    for (let left = count(length, depth); left > 0; left--) {
      const key = read(depth - 1);
      if (typeof key !== 'string' && typeof key !== 'number') throw new MsgpackError('a key is text or a number');
      entries[key] = read(depth - 1);
    }
    return entries;
  };
  /** Extensions have no meaning here; what is skipped reads as nil. */
  const extension = (length: number): null => {
    take(length + 1);
    return null;
  };
  const read = (depth: number): Value => {
    const marker = unsigned(1);
    if (marker < 0x80) return marker;
    if (marker >= 0xe0) return marker - 0x100;
    if (marker < 0x90) return map(marker & 15, depth);
    if (marker < 0xa0) return array(marker & 15, depth);
    if (marker < 0xc0) return text(marker & 31);
    switch (marker) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return binary(unsigned(1 << (marker - 0xc4)));
      case 0xc7: case 0xc8: case 0xc9: return extension(unsigned(1 << (marker - 0xc7)));
      case 0xca: return view.getFloat32(take(4));
      case 0xcb: return view.getFloat64(take(8));
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return unsigned(1 << (marker - 0xcc));
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: return integer('Int', 1 << (marker - 0xd0));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return extension(1 << (marker - 0xd4));
      case 0xd9: case 0xda: case 0xdb: return text(unsigned(1 << (marker - 0xd9)));
      case 0xdc: case 0xdd: return array(unsigned(2 << (marker - 0xdc)), depth);
      case 0xde: case 0xdf: return map(unsigned(2 << (marker - 0xde)), depth);
      default: throw new MsgpackError('no such marker');
    }
  };
  const value = read(depth_max);
  if (at !== bytes.length) throw new MsgpackError('bytes after the end');
  return value;
}

function whole(number: number): number {
  if (!Number.isSafeInteger(number)) throw new MsgpackError('an integer of 2^53 or more');
  return number;
}
