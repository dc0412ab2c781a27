// Socket.IO on Node, WebSocket only: rooms by its own `join`.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'], serveClient: false });
io.on('connection', (socket) => {
  let room;
  socket.on('join', (name, joined) => {
    room = name;
    socket.join(name);
    joined();
  });
  socket.on('m', (text) => socket.to(room).emit('m', text));
});
http.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ ready: true, public: `http://127.0.0.1:${http.address().port}` }));
});
