// Which conversations this console hears live, and the parts of the board and of transcripts that
// it asks for.
//
// Lives here: what is watched, what is asked again after a refusal, and the pages before what is
// here. Not here: what comes in, and what is wanted; whoever makes a follower ties it to them.

import * as wire from '../../../protocol/ts/src/wire/frames.ts';
import type {
  ConversationId,
  ResumePoint,
  ServerFrame,
} from '../../../protocol/ts/src/wire/frames.ts';
import type { Socket } from '../../../protocol/ts/src/wire/socket.ts';
import { isRetryable } from '../../../protocol/ts/src/wire/verdict.ts';

/** What a follower needs, and whom it tells. */
export interface FollowerTies {
  /** The socket, while it is online. */
  readonly line: () => Socket | null;
  /** What is to be heard live. */
  readonly wanted: () => ReadonlySet<ConversationId>;
  /** The last message that is here, to go on from. */
  readonly resume: (id: ConversationId) => ResumePoint;
  /** Where the next part of the board begins, as long as there is one and room for it. */
  readonly beyond: () => string | null;
  /** Where the transcript that is here begins, as long as there is more of it. */
  readonly edge: (id: ConversationId) => number | null;
  readonly heard: (frame: ServerFrame, before?: number) => void;
  readonly absent: (id: ConversationId, absent: boolean) => void;
  readonly refused: (reject: wire.ServerReject) => void;
  /** What is not watched need not be kept. */
  readonly dropped: (watched: ReadonlySet<ConversationId>) => void;
}

type Watched = 'board' | ConversationId;

const HISTORY_PAGE = 50;
const REST_MS_MIN = 1_000;
/** The longest rest between two tries to watch something. */
const REST_MS_MAX = 30_000;

export class Follower {
  readonly #ties: FollowerTies;
  readonly #watched = new Set<ConversationId>();
  /** What could not be watched for now: how often in vain, and when it is asked again. */
  readonly #tries = new Map<Watched, number>();
  readonly #resting = new Map<Watched, ReturnType<typeof setTimeout>>();
  /** Whether the newest part of the board came, and the next may be asked for. */
  #boardCame = false;
  readonly #paging = new Set<ConversationId>();
  /** Whose earlier messages were asked for while nobody heard it. */
  readonly #unpaged = new Set<ConversationId>();

  constructor(ties: FollowerTies) {
    this.#ties = ties;
  }

  /** There is a connection, and it follows nothing yet. */
  begin(): void {
    this.#paging.clear();
    this.#watched.clear();
    this.#restNoMore();
    void this.#watchBoard();
    // What was on the screen before goes on at once; the snapshot then says what else to follow.
    this.follow();
  }

  stop(): void {
    this.#restNoMore();
    for (const set of [this.#watched, this.#paging, this.#unpaged]) set.clear();
  }

  /** Watches what is wanted by now, and nothing else. */
  follow(): void {
    const socket = this.#ties.line();
    if (socket === null) return;
    const wanted = this.#ties.wanted();
    for (const id of wanted)
      if (!this.#watched.has(id) && !this.#resting.has(id)) void this.#watch(id);
    for (const id of this.#watched) {
      if (wanted.has(id)) continue;
      this.#watched.delete(id);
      void socket.ask(wire.CLIENT_UNWATCH, { topic: 'conversation', conversation: id });
    }
    this.#ties.dropped(wanted);
  }

  /** It is there for this agent now, whatever it was before: it may be asked for again. */
  unmiss(id: ConversationId): void {
    this.#watched.delete(id);
    this.#ties.absent(id, false);
  }

  /** Asks for the next part of the board: at first, and when others have ended. */
  watchBeyond(): void {
    const next = this.#boardCame ? this.#ties.beyond() : null;
    if (next !== null) void this.#watchBoard(next);
  }

  /** Fetches the page before all that is here; without a connection, when there is one again. */
  async loadEarlier(id: ConversationId): Promise<void> {
    const before = this.#ties.edge(id);
    if (before === null || this.#paging.has(id)) return;
    const socket = this.#ties.line();
    if (socket === null) {
      this.#unpaged.add(id);
      return;
    }
    this.#paging.add(id);
    const asked = { conversation: id, before, limit: HISTORY_PAGE };
    const answer = await socket.ask(wire.CLIENT_HISTORY, asked);
    if (answer.kind === 'lost') this.#unpaged.add(id);
    else this.#ties.heard(answer, before);
    this.#paging.delete(id);
  }

  async #watch(id: ConversationId): Promise<void> {
    this.#watched.add(id);
    const resume = this.#ties.resume(id);
    const answer = await this.#ask(id, { topic: 'conversation', conversation: id, resume });
    if (answer === 'later') this.#watched.delete(id);
    // It stays among the watched: nobody asks for it again at the next change of the board.
    if (answer === 'absent') this.#ties.absent(id, true);
    // Not before: what was there may have come anew.
    if (answer === 'granted' && this.#unpaged.delete(id)) void this.loadEarlier(id);
  }

  async #watchBoard(after?: string): Promise<void> {
    this.#boardCame = false;
    const asked = after === undefined ? {} : { after };
    const answer = await this.#ask('board', { topic: 'board', ...asked });
    if (answer !== 'granted') return;
    this.#boardCame = true;
    this.watchBeyond();
  }

  /** Asks to watch; what is refused for now is asked again after a rest that grows. */
  async #ask(
    what: Watched,
    fields: Omit<wire.ClientWatch, 'kind' | 'request'>,
  ): Promise<'granted' | 'absent' | 'later'> {
    const socket = this.#ties.line();
    if (socket === null) return 'later';
    const answer = await socket.ask(wire.CLIENT_WATCH, fields);
    // The next welcome begins again.
    if (answer.kind === 'lost' || socket !== this.#ties.line()) return 'later';
    if (answer.kind !== 'reject') {
      this.#tries.delete(what);
      this.#ties.heard(answer);
      return 'granted';
    }
    // A limit is a matter of what else is watched; any other refusal for good would only be
    // repeated.
    const absent = answer.code !== 'limit-reached' && !isRetryable(answer.code);
    const before = this.#tries.get(what) ?? 0;
    // Said once: the tries that follow are in vain for the same reason. A thread that is not there
    // says so itself.
    if (absent ? what === 'board' : before === 0) this.#ties.refused(answer);
    if (absent) return 'absent';
    this.#tries.set(what, before + 1);
    this.#rest(
      what,
      Math.max(answer.retry_after_ms ?? 0, Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** before)),
    );
    return 'later';
  }

  #rest(what: Watched, ms: number): void {
    clearTimeout(this.#resting.get(what));
    const again = (): void => {
      this.#resting.delete(what);
      if (what === 'board') void this.#watchBoard();
      else this.follow();
    };
    this.#resting.set(what, setTimeout(again, ms));
  }

  #restNoMore(): void {
    for (const timer of this.#resting.values()) clearTimeout(timer);
    this.#resting.clear();
    this.#tries.clear();
  }
}
