// Bun's own WebSocket server (uWebSockets): rooms by the path of the address.
// bun bun.mjs [--ack] [--tls CERT KEY]
const words = process.argv.slice(2);
const ack = words.includes('--ack');
const secure = words.indexOf('--tls');
const tls =
  secure < 0 ? undefined : { cert: Bun.file(words[secure + 1]), key: Bun.file(words[secure + 2]) };

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  tls,
  fetch(request, server) {
    // The room is the path; a parser of addresses would only add to the price of a handshake.
    const room = request.url.slice(request.url.indexOf('/', 8));
    return server.upgrade(request, { data: room }) ? undefined : new Response('', { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      socket.subscribe(socket.data);
    },
    message(socket, message) {
      socket.publish(socket.data, message);
      // The first bytes say which message is meant.
      if (ack) socket.send(message.subarray(0, 8));
    },
  },
});
console.log(JSON.stringify({ ready: true, public: `http://127.0.0.1:${server.port}` }));
