// Frames as typed objects, to MessagePack and back, led by the shapes in `frames.ts`.
//
// Lives here: what a shape is, and the two ways through it; nothing that comes in gets past without
// the type it says it has. Not here: the bytes (`msgpack.ts`), the frames themselves (`frames.ts`).

import { decode, encode } from './msgpack.ts';
import type { Value } from './msgpack.ts';

/** The encoding's name in the handshake. */
export const SUBPROTOCOL = 'livehelp.v1.msgpack';

/** Shapes of one value; ids have their prefix as shape. */
export const NUMBER = 0;
export const TEXT = 1;
export const FLAG = 2;

/** A set of codes and their words. */
export interface CodeTable<Word extends string = string> {
  readonly words: { readonly [code: number]: Word };
  /** The set grows: what a code that is not known reads as, from which code on. */
  readonly unknown?: readonly (readonly [from: number, word: Word])[];
}

/**
 * An array whose fields are known by their position; those after `required` may be left off the
 * end.
 */
export interface RecordShape<Record = unknown> {
  readonly required: number;
  readonly fields: readonly (readonly [name: string, shape: Shape])[];
  /** Carries the type alone; never there. */
  readonly type?: Record;
}

/** A record with a kind in front. */
export interface FrameSchema<Frame = unknown> extends RecordShape<Frame> {
  readonly code: number;
  readonly word: string;
}

/** Text, or an array that begins with its form. */
export interface BodyShape {
  readonly event: CodeTable;
}

export type Shape =
  | typeof NUMBER
  | typeof TEXT
  | typeof FLAG
  | string
  | CodeTable
  | RecordShape
  | BodyShape
  | { readonly list: Shape }
  | { readonly orNull: Shape };

/** A frame that does not have the fields of its kind. */
export class FrameError extends Error {}

/**
 * Thrown for a code that is not known here: a newer server has more of them. What it stands in is
 * passed over.
 */
const NEWER = new FrameError('a code that is not known');

/** What is read, or this in its place where a newer server's code stands in it. */
function known<T>(read: () => T, or: T): T {
  try {
    return read();
  } catch (error) {
    if (error !== NEWER) throw error;
    return or;
  }
}

/** The form of a body that is an event message. */
const BODY_EVENT = 1;

type Fields = { [name: string]: unknown };

/**
 * Writes a frame of this kind.
 * @throws FrameError if a field has another type than its shape.
 */
export function encodeFrame<Frame extends object>(
  schema: FrameSchema<Frame>,
  frame: Omit<Frame, 'kind'>,
): Uint8Array {
  return encode([schema.code, ...toFields(schema, frame as Fields)]);
}

/**
 * Reads a frame of one of these kinds; `undefined` for any other, which a newer server may send,
 * and for one with a code that is not known. Where such a code stands in an item of a list, or in a
 * field that may be absent, only that is left out. @throws FrameError or MsgpackError if the bytes
 * are no frame.
 */
export function decodeFrame<Frame>(
  kinds: readonly FrameSchema<Frame>[],
  bytes: Uint8Array,
  depthMax: number,
): Frame | undefined {
  const values = decode(bytes, depthMax);
  if (!Array.isArray(values) || typeof values[0] !== 'number')
    throw new FrameError('a frame begins with its kind');
  const schema = kinds.find((kind) => kind.code === values[0]);
  return (
    schema &&
    (known(() => fromFields(schema, values.slice(1), { kind: schema.word }), undefined) as
      | Frame
      | undefined)
  );
}

function toFields(shape: RecordShape, record: Fields): Value[] {
  const values: Value[] = [];
  let length = shape.required;
  shape.fields.forEach(([name, field], index) => {
    const value = record[name];
    const absent = value === undefined || value === null;
    // for others: begin
    if (absent && index < shape.required && !is(/* @__KEY__ */ 'orNull', field))
      throw new FrameError(`${name} is missing`);
    // for others: end
    if (!absent) length = Math.max(length, index + 1);
    values.push(absent ? null : toValue(field, value, name));
  });
  return values.slice(0, length);
}

function fromFields(shape: RecordShape, values: readonly Value[], record: Fields): Fields {
  shape.fields.forEach(([name, field], index) => {
    const value = values[index];
    if (index < shape.required) {
      // What is missing is of no shape's type.
      record[name] = fromValue(field, value as Value, name);
    } else if (value !== undefined && value !== null) {
      const read = known(() => fromValue(field, value, name), undefined);
      if (read !== undefined) record[name] = read;
    }
  });
  return record;
}

function is<Key extends string>(
  key: Key,
  shape: object | Shape,
): shape is Extract<Shape, { readonly [key in Key]: unknown }> {
  return typeof shape === 'object' && key in shape;
}

function wrong(name: string): FrameError {
  return new FrameError(`${name} has another type`);
}

function toValue(shape: Shape, value: unknown, name: string): Value {
  if (typeof shape === 'string') return idBytes(shape, value, name);
  if (typeof shape === 'number') return simple(shape, value, name);
  if (is(/* @__KEY__ */ 'list', shape)) {
    if (!Array.isArray(value)) throw wrong(name);
    return value.map((item: unknown) => toValue(shape.list, item, name));
  }
  // for others: begin
  if (is(/* @__KEY__ */ 'orNull', shape)) return toValue(shape.orNull, value, name);
  // for others: end
  if (is(/* @__KEY__ */ 'words', shape)) {
    const code = Object.keys(shape.words).find((code) => shape.words[Number(code)] === value);
    // for others: begin
    if (code === undefined) throw wrong(name);
    // for others: end
    return Number(code);
  }
  const record = value as Fields;
  // for others: begin
  if (typeof value !== 'object' || value === null) throw wrong(name);
  // for others: end
  if (is(/* @__KEY__ */ 'fields', shape)) return toFields(shape, record);
  // for others: begin
  if (is('event', shape) && record['kind'] === 'event') {
    const event = [BODY_EVENT, toValue(shape.event, record['event'], name)];
    return record['agent'] === undefined
      ? event
      : [...event, idBytes('agt', record['agent'], name)];
  }
  if (record['kind'] !== 'text') throw wrong(name);
  // for others: end
  return simple(TEXT, record['text'], name);
}

function fromValue(shape: Shape, value: Value, name: string): unknown {
  if (typeof shape === 'string') return idText(shape, value, name);
  if (typeof shape === 'number') return simple(shape, value, name);
  if (is(/* @__KEY__ */ 'list', shape)) {
    if (!Array.isArray(value)) throw wrong(name);
    return value.flatMap((item) => known(() => [fromValue(shape.list, item, name)], []));
  }
  if (is(/* @__KEY__ */ 'orNull', shape))
    return value === null ? null : fromValue(shape.orNull, value, name);
  if (is(/* @__KEY__ */ 'words', shape)) {
    if (typeof value !== 'number') throw wrong(name);
    const word = shape.words[value] ?? shape.unknown?.filter(([from]) => value >= from).at(-1)?.[1];
    if (word === undefined) throw NEWER;
    return word;
  }
  if (is(/* @__KEY__ */ 'fields', shape)) {
    if (!Array.isArray(value)) throw wrong(name);
    return fromFields(shape, value, {});
  }
  if (typeof value === 'string') return { kind: 'text', text: value };
  if (!Array.isArray(value)) throw wrong(name);
  const [form, event, agent] = value;
  if (form !== BODY_EVENT) return { kind: 'unknown' };
  const body = { kind: 'event', event: fromValue(shape.event, event ?? null, name) };
  return agent === undefined || agent === null
    ? body
    : { ...body, agent: idText('agt', agent, name) };
}

/** What JavaScript calls the simple shapes. */
const TYPES = ['number', 'string', 'boolean'];

function simple(shape: number, value: unknown, name: string): number | string | boolean {
  if (typeof value !== TYPES[shape]) throw wrong(name);
  return value as number | string | boolean;
}

function idBytes(prefix: string, value: unknown, name: string): Uint8Array {
  const hex =
    typeof value === 'string' && value.startsWith(`${prefix}_`)
      ? value.slice(prefix.length + 1)
      : '';
  if (!/^[0-9a-f]{32}$/.test(hex)) throw wrong(name);
  return Uint8Array.from({ length: 16 }, (_, index) =>
    parseInt(hex.slice(index * 2, index * 2 + 2), 16),
  );
}

function idText(prefix: string, value: Value, name: string): string {
  if (!(value instanceof Uint8Array) || value.length !== 16) throw wrong(name);
  return `${prefix}_${hex(value)}`;
}

/** Bytes as lower-case hex digits. */
export function hex(bytes: Uint8Array): string {
  // Not `Array.from`: pages with an old library have another.
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
