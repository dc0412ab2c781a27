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
const textOf = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

// for others: begin
function isMap(value: Value): value is ValueMap {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && !Array.isArray(value) && !(value instanceof Uint8Array);
}
// for others: end

/** Writes one value. Integers take the fewest bytes that hold them. */
export function encode(value: Value): Uint8Array {
  const bytes: number[] = [];
  /** The first of the forms, each twice as wide as the one before it, that has room for `size`. */
  const sized = (marker: number, width: number, size: number, number = size): void => {
    while (size >= 256 ** width) {
      marker += 1;
      width *= 2;
    }
    bytes.push(marker);
    while (width-- > 0) bytes.push(Math.floor(number / 256 ** width) & 255);
  };
  /**
   * The head of something that has a length, which stands in the marker itself where it is short.
   */
  const head = (
    length: number,
    short: number,
    shortEnd: number,
    marker: number,
    width: number,
  ): void => {
    if (length < shortEnd) bytes.push(short | length);
    else sized(marker, width, length);
  };
  const append = (more: Uint8Array): void => {
    for (const byte of more) bytes.push(byte);
  };
  const writeNumber = (value: number): void => {
    // for others: begin
    if (!Number.isSafeInteger(value)) {
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, value);
      bytes.push(0xcb);
      append(new Uint8Array(view.buffer));
      return;
    }
    if (value < -0x20) {
      // A negative one needs as much room as a positive one of twice its size.
      sized(0xd0, 1, -2 * value - 1, value);
      return;
    }
    // for others: end
    if (value < 0x80) bytes.push(value & 255);
    else sized(0xcc, 1, value);
  };
  // for others: begin
  const writeMap = (value: ValueMap): void => {
    const entries = Object.entries(value);
    head(entries.length, 0x80, 16, 0xde, 2);
    for (const entry of entries) for (const part of entry) write(part);
  };
  // for others: end
  const write = (value: Value): void => {
    // for others: begin
    if (isMap(value)) {
      writeMap(value);
      return;
    }
    // for others: end
    if (value === null) bytes.push(0xc0);
    else if (typeof value === 'boolean') bytes.push(value ? 0xc3 : 0xc2);
    else if (typeof value === 'number') writeNumber(value);
    else if (typeof value === 'string') {
      const encoded = utf8.encode(value);
      head(encoded.length, 0xa0, 32, 0xd9, 1);
      append(encoded);
    } else if (value instanceof Uint8Array) {
      sized(0xc4, 1, value.length);
      append(value);
    } else if (Array.isArray(value)) {
      head(value.length, 0x90, 16, 0xdc, 2);
      for (const item of value) write(item);
    }
  };
  write(value);
  return new Uint8Array(bytes);
}

/**
 * Reads one value that fills the bytes. No length is believed before the bytes for it are seen.
 * @throws MsgpackError if the bytes are anything else, or nest deeper than `depthMax`.
 */
export function decode(bytes: Uint8Array, depthMax: number): Value {
  let at = 0;

  const take = (length: number): Uint8Array<ArrayBuffer> => {
    if (length > bytes.length - at) throw new MsgpackError('cut short');
    at += length;
    return new Uint8Array(bytes.subarray(at - length, at));
  };
  const integer = (width: number, signed = false): number => {
    const [first = 0, ...rest] = take(width);
    let number = signed && first > 127 ? first - 256 : first;
    for (const byte of rest) number = number * 256 + byte;
    if (!Number.isSafeInteger(number)) throw new MsgpackError('an integer of 2^53 or more');
    return number;
  };
  const text = (length: number): string => {
    const part = take(length);
    try {
      return textOf.decode(part);
    } catch {
      throw new MsgpackError('not UTF-8');
    }
  };
  // Each item takes a byte or more, so a count above what is left is a lie.
  const checkCount = (items: number, depth: number): void => {
    if (items > bytes.length - at) throw new MsgpackError('cut short');
    if (depth <= 0) throw new MsgpackError('too deep');
  };
  const array = (length: number, depth: number): Value[] => {
    checkCount(length, depth);
    const items: Value[] = [];
    while (items.length < length) items.push(read(depth - 1));
    return items;
  };
  const map = (length: number, depth: number): ValueMap => {
    checkCount(length, depth);
    const entries = Object.create(null) as ValueMap;
    for (let left = length; left > 0; left--) {
      const key = read(depth - 1);
      if (typeof key !== 'string' && typeof key !== 'number')
        throw new MsgpackError('a key is text or a number');
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
    const marker = integer(1);
    if (marker < 0x80) return marker;
    if (marker < 0x90) return map(marker & 15, depth);
    if (marker < 0xa0) return array(marker & 15, depth);
    if (marker < 0xc0) return text(marker & 31);
    if (marker === 0xc0) return null;
    if (marker === 0xc1) throw new MsgpackError('no such marker');
    if (marker < 0xc4) return marker === 0xc3;
    if (marker < 0xc7) return take(integer(1 << (marker - 0xc4)));
    if (marker < 0xca) return extension(integer(1 << (marker - 0xc7)));
    if (marker === 0xca) return new DataView(take(4).buffer).getFloat32(0);
    if (marker === 0xcb) return new DataView(take(8).buffer).getFloat64(0);
    if (marker < 0xd0) return integer(1 << (marker - 0xcc));
    if (marker < 0xd4) return integer(1 << (marker - 0xd0), true);
    if (marker < 0xd9) return extension(1 << (marker - 0xd4));
    if (marker < 0xdc) return text(integer(1 << (marker - 0xd9)));
    if (marker < 0xde) return array(integer(2 << (marker - 0xdc)), depth);
    if (marker < 0xe0) return map(integer(2 << (marker - 0xde)), depth);
    return marker - 0x100;
  };
  const value = read(depthMax);
  if (at !== bytes.length) throw new MsgpackError('bytes after the end');
  return value;
}
