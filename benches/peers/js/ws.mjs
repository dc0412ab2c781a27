// Node with `ws`: rooms by the path of the address.
// node ws.mjs [--redis PORT | --postgres URL] [--batch]
// With a store each message is acked once it is kept there: each by itself, or with --batch all that wait in one go.
import { WebSocketServer } from 'ws';

const words = process.argv.slice(2);
const after = (flag) => (words.includes(flag) ? words[words.indexOf(flag) + 1] : undefined);
const batched = words.includes('--batch');
const keep = await store();

async function store() {
  if (after('--redis')) {
    const { default: Redis } = await import('ioredis');
    const redis = new Redis({ port: Number(after('--redis')), enableAutoPipelining: false });
    if (!batched) return ({ room, message }) => redis.xadd(room, '*', 'm', message);
    return async (batch) => {
      const pipeline = redis.pipeline();
      for (const { room, message } of batch) pipeline.xadd(room, '*', 'm', message);
      for (const [error] of await pipeline.exec()) if (error) throw error;
    };
  }
  if (after('--postgres')) {
    const { default: pg } = await import('pg');
    const pool = new pg.Pool({ connectionString: after('--postgres'), max: batched ? 1 : 10 });
    await pool.query('create table if not exists message (id bigserial primary key, room text, body bytea)');
    if (!batched) {
      const text = 'insert into message (room, body) values ($1, $2)';
      return ({ room, message }) => pool.query({ name: 'keep', text, values: [room, message] });
    }
    return async (batch) => {
      const rooms = batch.map(({ room }) => room);
      const bodies = batch.map(({ message }) => message);
      await pool.query('insert into message (room, body) select * from unnest($1::text[], $2::bytea[])', [rooms, bodies]);
    };
  }
  return undefined;
}

let waiting = [];
let busy = false;

async function drain() {
  busy = true;
  while (waiting.length > 0) {
    const batch = waiting;
    waiting = [];
    await keep(batch);
    for (const { socket, message } of batch) socket.send(message.subarray(0, 8));
  }
  busy = false;
}

const rooms = new Map();
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('connection', (socket, request) => {
  const room = request.url;
  if (!rooms.has(room)) rooms.set(room, new Set());
  const members = rooms.get(room);
  members.add(socket);
  socket.on('message', (message, binary) => {
    for (const member of members) if (member !== socket) member.send(message, { binary });
    if (keep && !batched) {
      keep({ room, message }).then(() => socket.send(message.subarray(0, 8)));
    } else if (keep) {
      waiting.push({ socket, room, message });
      if (!busy) drain();
    }
  });
  socket.on('close', () => {
    members.delete(socket);
    if (members.size === 0) rooms.delete(room);
  });
  socket.on('error', () => socket.terminate());
});
server.on('listening', () => {
  console.log(JSON.stringify({ ready: true, public: `http://127.0.0.1:${server.address().port}` }));
});
