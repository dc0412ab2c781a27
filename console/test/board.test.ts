import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  AgentId,
  Author,
  Body,
  ConversationCard,
  ConversationId,
  ServerBoard,
  ServerFrame,
} from '../../protocol/ts/src/wire/frames.ts';
import {
  EMPTY_BOARD,
  followed,
  isWaiting,
  listed,
  missedOffers,
  reduceBoard,
  refusedTransfers,
  unreadCount,
  visitorMarks,
} from '../src/state/board.ts';
import type { Board } from '../src/state/board.ts';
import { EMPTY_THREAD } from '../src/state/thread.ts';
import type { Entry, Thread } from '../src/state/thread.ts';

const ME: AgentId = 'agt_me';
const OTHER: AgentId = 'agt_other';

function card(name: string, more: Partial<ConversationCard> = {}): ConversationCard {
  const conversation: ConversationId = `cnv_${name}`;
  return {
    conversation,
    version: 1,
    site: 'sit_1',
    state: 'active',
    created_at: 0,
    seq_last: 3,
    agents: [],
    marks: [],
    ...more,
  };
}

function after(frames: ServerFrame[], now = 0): Board {
  return frames.reduce(
    (board, frame) => reduceBoard(board, { kind: 'frame', frame, now }),
    EMPTY_BOARD,
  );
}

const snapshot = (...conversations: ConversationCard[]): ServerFrame => ({
  kind: 'board',
  request: 1,
  conversations,
  agents: [],
});
const text = (conversation: ConversationId, seq: number, agent?: AgentId): ServerFrame => ({
  kind: 'message',
  conversation,
  seq,
  message: `msg_${seq}`,
  author: agent === undefined ? { kind: 'visitor' } : { kind: 'agent', agent },
  at: 100 + seq,
  body: { kind: 'text', text: `said ${seq}` },
  expires: null,
});

test('an older version of a conversation is ignored', () => {
  const board = after([
    snapshot(card('a', { version: 5 })),
    { kind: 'conversation', card: card('a', { version: 4, state: 'closed' }) },
  ]);
  assert.equal(board.cards.get('cnv_a')?.state, 'active');
});

test('a snapshot is the truth, whatever version was here', () => {
  const board = after([
    snapshot(card('a', { version: 5 }), card('b')),
    snapshot(card('a', { version: 2, state: 'queued' })),
  ]);
  assert.equal(board.cards.get('cnv_a')?.state, 'queued');
  assert.equal(board.cards.has('cnv_b'), false);
});

test('marks never go back', () => {
  const marks = (seen: number) => [{ author: { kind: 'visitor' } as const, delivered: seen, seen }];
  const board = after([
    snapshot(card('a', { marks: marks(2) })),
    { kind: 'seen', conversation: 'cnv_a', author: { kind: 'visitor' }, seq: 6 },
    { kind: 'conversation', card: card('a', { version: 2, marks: marks(3) }) },
    { kind: 'delivered', conversation: 'cnv_a', author: { kind: 'visitor' }, seq: 7 },
  ]);
  assert.deepEqual(visitorMarks(board.cards.get('cnv_a')), { delivered: 7, seen: 6 });
});

test('a message renews the last line and ends its author typing', () => {
  const board = after([
    snapshot(card('a')),
    { kind: 'typing', conversation: 'cnv_a', author: { kind: 'visitor' }, typing: true },
    text('cnv_a', 4),
  ]);
  assert.equal(board.cards.get('cnv_a')?.preview, 'said 4');
  assert.equal(board.cards.get('cnv_a')?.seq_last, 4);
  assert.equal(board.typing.size, 0);
});

test('a last line is a note where a note was heard last, until a card comes', () => {
  const note = { ...text('cnv_a', 4), visibility: 'agents' } as ServerFrame;
  const isNote = (frames: ServerFrame[]): boolean =>
    after([snapshot(card('a')), ...frames]).cards.get('cnv_a')?.note === true;
  assert.ok(isNote([text('cnv_a', 3), note]));
  assert.ok(!isNote([note, text('cnv_a', 5)]));
  assert.ok(!isNote([note, { kind: 'conversation', card: { ...card('a'), version: 9 } }]));
});

test('typing ends by itself after six seconds', () => {
  const board = after(
    [
      snapshot(card('a')),
      { kind: 'typing', conversation: 'cnv_a', author: { kind: 'visitor' }, typing: true },
    ],
    1000,
  );
  assert.equal(reduceBoard(board, { kind: 'tick', now: 6999 }).typing.size, 1);
  assert.equal(reduceBoard(board, { kind: 'tick', now: 7000 }).typing.size, 0);
});

test('unread counts what was not on the screen, and nothing after a word of one’s own', () => {
  const seen = [{ author: { kind: 'agent', agent: ME } as const, delivered: 1, seen: 1 }];
  assert.equal(unreadCount(card('a', { marks: seen, last_author: { kind: 'visitor' } }), ME), 2);
  assert.equal(
    unreadCount(card('a', { marks: seen, last_author: { kind: 'agent', agent: ME } }), ME),
    0,
  );
});

test('with the messages at hand, unread counts those of others and no lines of the system', () => {
  const seen = [{ author: { kind: 'agent', agent: ME } as const, delivered: 1, seen: 1 }];
  const entry = (seq: number, author: Author, body: Body): Entry => ({
    seq,
    message: `msg_${seq}`,
    author,
    at: 0,
    body,
    expires: null,
    visibility: 'everyone',
  });
  const thread: Thread = {
    ...EMPTY_THREAD,
    edge: 1,
    entries: [
      entry(1, { kind: 'visitor' }, { kind: 'text', text: 'read' }),
      entry(2, { kind: 'visitor' }, { kind: 'text', text: 'unread' }),
      entry(3, { kind: 'system' }, { kind: 'event', event: 'assigned', agent: ME }),
      entry(4, { kind: 'agent', agent: ME }, { kind: 'text', text: 'mine' }),
      entry(0, { kind: 'agent', agent: ME }, { kind: 'text', text: 'on its way' }),
    ],
  };
  assert.equal(unreadCount(card('a', { marks: seen, seq_last: 4 }), ME, thread), 1);
});

test('the words before a line of the system stay the last line', () => {
  const board = after([
    snapshot(card('a', { preview: 'hello', last_author: { kind: 'visitor' } })),
    { kind: 'conversation', card: card('a', { version: 2 }) },
  ]);
  assert.equal(board.cards.get('cnv_a')?.preview, 'hello');
});

test('an agent follows their own, what is offered to them, and the first in line', () => {
  const waiting = Array.from({ length: 60 }, (_, at) =>
    card(`w${String(at).padStart(2, '0')}`, { state: 'queued', position: at + 1 }),
  );
  const board = after([
    snapshot(card('mine', { assignee: ME }), card('other', { assignee: OTHER }), ...waiting),
    {
      kind: 'offer',
      conversation: 'cnv_w59',
      deadline: 9,
      card: card('w59', { state: 'offered', position: 60 }),
    },
  ]);
  const ids = followed(board, ME);
  assert.ok(ids.has('cnv_mine') && ids.has('cnv_w59') && ids.has('cnv_w00'));
  assert.ok(!ids.has('cnv_other') && !ids.has('cnv_w50'));
});

test('an offer goes with the word that it is over, with the state, and some time after its deadline', () => {
  const offered: ServerFrame = {
    kind: 'offer',
    conversation: 'cnv_a',
    deadline: 30_000,
    card: card('a', { state: 'offered' }),
  };
  assert.equal(after([offered]).offers.size, 1);
  assert.equal(after([offered, { kind: 'offer-over', conversation: 'cnv_a' }]).offers.size, 0);
  assert.equal(
    after([offered, { kind: 'conversation', card: card('a', { version: 2, state: 'queued' }) }])
      .offers.size,
    0,
  );
  assert.equal(reduceBoard(after([offered]), { kind: 'tick', now: 60_000 }).offers.size, 0);
});

test('a transfer stays on offer while the giver still has the conversation', () => {
  const offered: ServerFrame = {
    kind: 'offer',
    conversation: 'cnv_a',
    deadline: 30_000,
    card: card('a', { assignee: OTHER }),
    transfer_from: OTHER,
  };
  const board = after([
    offered,
    {
      kind: 'conversation',
      card: card('a', { version: 2, state: 'active', assignee: OTHER, offered_to: ME }),
    },
  ]);
  assert.equal(board.offers.get('cnv_a')?.transfer_from, OTHER);
});

test('an offer remembers when it came, also when a line that came back brings it again', () => {
  const offered: ServerFrame = {
    kind: 'offer',
    conversation: 'cnv_a',
    deadline: 30_000,
    card: card('a', { state: 'offered' }),
  };
  const board = after([offered], 10_000);
  assert.equal(board.offers.get('cnv_a')?.came, 10_000);
  assert.equal(
    reduceBoard(board, { kind: 'frame', frame: offered, now: 20_000 }).offers.get('cnv_a')?.came,
    10_000,
  );
  assert.equal(
    reduceBoard(board, {
      kind: 'frame',
      frame: { ...offered, deadline: 50_000 },
      now: 20_000,
    }).offers.get('cnv_a')?.came,
    20_000,
  );
});

test('an offer that ran out was missed; one that was taken back, accepted or closed was not', () => {
  const offered: ServerFrame = {
    kind: 'offer',
    conversation: 'cnv_a',
    deadline: 30_000,
    card: card('a', { state: 'offered' }),
  };
  const over: ServerFrame = { kind: 'offer-over', conversation: 'cnv_a' };
  const before = after([offered]);
  const missed = (frames: ServerFrame[], now: number): number =>
    missedOffers(before, after([offered, ...frames], now), now, ME).length;
  assert.equal(missed([over], 30_010), 1);
  assert.equal(missed([over], 12_000), 0);
  assert.equal(missed([], 30_010), 0);
  assert.equal(
    missed([{ kind: 'conversation', card: card('a', { version: 2, assignee: ME }) }, over], 30_010),
    0,
  );
  assert.equal(
    missed([{ kind: 'conversation', card: card('a', { version: 2, state: 'closed' }) }], 30_010),
    0,
  );
});

test('a transfer that nobody took is told to its giver, until the conversation goes on', () => {
  const asked = snapshot(card('a', { assignee: ME, offered_to: OTHER }));
  const back: ServerFrame = { kind: 'conversation', card: card('a', { version: 2, assignee: ME }) };
  const told = (from: Board, to: Board): string[] =>
    refusedTransfers(from, to, ME).map(({ card: { conversation }, by }) => `${conversation} ${by}`);
  const before = after([asked]);
  const refused = after([asked, back]);
  assert.deepEqual(told(before, refused), ['cnv_a agt_other']);
  assert.deepEqual(told(before, after([asked, snapshot(card('a', { assignee: ME }))])), [
    'cnv_a agt_other',
  ]);
  assert.deepEqual(
    told(
      before,
      after([asked, { kind: 'conversation', card: card('a', { version: 2, assignee: OTHER }) }]),
    ),
    [],
  );
  assert.equal(after([asked, back, text('cnv_a', 4)]).untaken.size, 1);
  assert.equal(after([asked, back, text('cnv_a', 4, ME)]).untaken.size, 0);
  assert.equal(
    after([asked, back, { kind: 'conversation', card: card('a', { version: 3, state: 'closed' }) }])
      .untaken.size,
    0,
  );
  assert.equal(after([asked, back, { kind: 'forget', conversation: 'cnv_a' }]).untaken.size, 0);
});

test('those who wait stand as the line does, whatever position their cards had when they last changed', () => {
  const board = after([
    snapshot(
      card('late', { state: 'queued', waiting_since: 40, position: 2 }),
      card('stale', { state: 'queued', waiting_since: 30, position: 3 }),
      card('oldest', { state: 'queued', waiting_since: 20, position: 2 }),
      card('returned', { state: 'queued', waiting_since: 20, position: 1 }),
    ),
  ]);
  assert.deepEqual(
    listed(board, 'waiting', ME).map((one) => one.conversation),
    ['cnv_returned', 'cnv_oldest', 'cnv_stale', 'cnv_late'],
  );
});

test('those who wait stand in the order of their places, mine by the newest word', () => {
  const board = after([
    snapshot(
      card('b', { state: 'queued', waiting_since: 2, position: 2 }),
      card('a', { state: 'queued', waiting_since: 2, position: 1 }),
      card('o', { state: 'offered', waiting_since: 1 }),
      card('m1', { assignee: ME, last_message_at: 5 }),
      card('m2', { assignee: ME, last_message_at: 9 }),
      card('c', { state: 'closed' }),
    ),
  ]);
  assert.deepEqual(
    listed(board, 'waiting', ME).map((one) => one.conversation),
    ['cnv_o', 'cnv_a', 'cnv_b'],
  );
  assert.ok(listed(board, 'waiting', ME).every(isWaiting));
  assert.deepEqual(
    listed(board, 'mine', ME).map((one) => one.conversation),
    ['cnv_m2', 'cnv_m1'],
  );
  assert.equal(
    listed(board, 'all', ME).some((one) => one.state === 'closed'),
    false,
  );
});

test('an erased conversation leaves the board, an erased message only its last line', () => {
  const base = [snapshot(card('a', { preview: 'secret' }))];
  assert.equal(after([...base, { kind: 'forget', conversation: 'cnv_a' }]).cards.size, 0);
  assert.equal(
    after([...base, { kind: 'forget', conversation: 'cnv_a', messages: ['msg_1'] }]).cards.get(
      'cnv_a',
    )?.preview,
    undefined,
  );
});

test('presence keeps the name that was known', () => {
  const visitor = { visitor: 'vis_1', name: 'Ada' } as const;
  const board = after([
    snapshot(card('a', { visitor })),
    {
      kind: 'presence',
      conversation: 'cnv_a',
      presence: 'gone',
      visitor: { visitor: 'vis_1', page_url: 'https://x.test/' },
    },
  ]);
  assert.deepEqual(board.cards.get('cnv_a')?.visitor, {
    visitor: 'vis_1',
    name: 'Ada',
    page_url: 'https://x.test/',
    presence: 'gone',
  });
});

test('the board comes in parts: the first replaces, the others add, and what is still to come is counted', () => {
  const part = (conversations: ConversationCard[], rest: Partial<ServerBoard>): ServerFrame => ({
    kind: 'board',
    request: 1,
    conversations,
    agents: [],
    ...rest,
  });
  const first = after([
    snapshot(card('gone')),
    part([card('a')], { next: 'own.a', live: 3, waiting: 2 }),
  ]);
  assert.deepEqual([...first.cards.keys()], ['cnv_a']);
  assert.deepEqual(first.beyond, { next: 'own.a', live: 3, waiting: 2 });
  const moved: ServerFrame = {
    kind: 'conversation',
    card: card('b', { version: 9, state: 'closed' }),
  };
  const last = [
    moved,
    part([card('b'), card('c')], { after: 'own.a', live: 3, waiting: 2 }),
  ].reduce((board, frame) => reduceBoard(board, { kind: 'frame', frame, now: 0 }), first);
  assert.deepEqual([...last.cards.keys()].sort(), ['cnv_a', 'cnv_b', 'cnv_c']);
  assert.equal(last.cards.get('cnv_b')?.state, 'closed', 'what came since is newer');
  assert.equal(last.beyond, null);
});
