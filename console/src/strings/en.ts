// Every word the console shows, in English.

import type { RejectCode } from '../../../protocol/ts/src/wire/frames.ts';
import { Problem } from '../wire/rest.ts';

const plural = (count: number, one: string, many: string): string =>
  `${count} ${count === 1 ? one : many}`;

export const t = {
  name: 'livehelp',
  loading: 'Loading…',
  save: 'Save',
  saved: 'Saved.',
  cancel: 'Cancel',
  dismiss: 'Dismiss',
  undo: 'Undo',
  copy: 'Copy',
  copied: 'Copied.',
  copyFailed: 'The browser did not let us copy. Select the text and copy it by hand.',
  remove: 'Remove',
  tryAgain: 'Try again',
  back: 'Back',
  close: 'Close',
  you: 'You',
  blank: 'There is nothing to see in this.',
  tooLong: (chars: number, max: number): string =>
    `This has ${chars} characters, and may have ${max}: it is ${chars - max} too long.`,

  unsaved: {
    title: 'Leave without saving?',
    lost: (parts: string): string => `This is not saved yet and would be lost: ${parts}.`,
    kept: (parts: string): string => `Not saved yet, and kept for you where you left it: ${parts}.`,
    mark: 'Not saved yet',
    stay: 'Stay here',
    leave: 'Leave without saving',
  },

  aVisitor: 'Visitor',
  anAgent: 'An agent',

  nav: {
    label: 'Main',
    skip: 'Skip to content',
    conversations: 'Board',
    sites: 'Websites',
    agents: 'Agents',
    keys: 'API keys',
    tags: 'Tags',
    account: 'Account',
  },

  connection: {
    connecting: 'Connecting…',
    waiting: 'The line to the server broke. Trying again…',
    stopped: 'The server ended the connection.',
    now: 'Connect now',
    notNow: 'There is no line to the server right now. Nothing was changed.',
  },

  login: {
    title: 'Sign in',
    lead: 'Welcome back. Your visitors are a click away.',
    email: 'E-mail',
    password: 'Password',
    submit: 'Sign in',
    working: 'Signing in…',
    refused: 'E-mail or password is wrong.',
    throttled: (seconds: number | null): string =>
      seconds === null
        ? 'Too many attempts. Wait a while, then try again.'
        : `Too many attempts. Try again in ${plural(seconds, 'second', 'seconds')}.`,
    over: 'Your session ended. Sign in again to go on.',
    unreachable: 'The server cannot be reached.',
    which: 'You work for several: which one now?',
    forgotten:
      'Forgot your password? An admin of your team makes you a link to set a new one, under Agents. For the last admin, whoever runs this server does.',
  },

  reset: {
    title: 'Set a new password',
    of: (email: string, tenant: string): string => `For ${email} at ${tenant}.`,
    ends: 'The link works once. You are signed out everywhere else.',
    submit: 'Set the password',
    done: 'The password was set.',
    gone: 'This link is not valid. It may have been used or replaced, or its day is over. Ask for a new one.',
  },

  invitation: {
    title: 'Join your team',
    to: (tenant: string): string => `You are invited to answer visitors of ${tenant}.`,
    as: (email: string, role: string): string => `${email} · ${role}`,
    name: 'Your name',
    nameHint: 'Visitors see it beside what you write.',
    password: 'Choose a password',
    passwordHint: 'At least 12 characters.',
    submit: 'Join',
    gone: 'This invitation is not valid. It may have expired, been used, or been withdrawn. Ask whoever invited you for a new one.',
    toLogin: 'Go to sign in',
  },

  roles: { agent: 'Agent', supervisor: 'Supervisor', admin: 'Admin' } as Record<string, string>,
  states: {
    queued: 'Waiting',
    offered: 'Offered',
    active: 'Active',
    snoozed: 'Snoozed',
    closed: 'Closed',
  } as Record<string, string>,

  availability: {
    label: 'Your availability',
    available: 'Available',
    away: 'Away',
    offline: 'Offline',
    availableHint: 'New conversations are offered to you.',
    awayHint: 'You keep yours and get no new ones.',
    sentAway:
      'Several offers in a row ran out, so you were set to Away. Nothing is offered to you until you are back, and soon your conversations go back to the queue, unless you write or choose.',
    sentAwayHint: 'You were set to this, and soon lose yours. Choose it to keep them.',
    again: 'I am available',
    offlineHint: 'You are not at work. Soon yours go back to the queue.',
    capacity: 'Conversations at most',
    load: (load: number, capacity: number): string => `${load} of ${capacity}`,
    fewer: 'Fewer',
    moreOnes: 'More',
  },

  sound: {
    unlock: 'Sound',
    unlockLabel: 'Turn on sound',
    unlockHint: 'Your browser keeps this page silent until you click here.',
    on: 'Sound is on',
    off: 'Sound is off',
    test: 'Play a sound',
  },

  list: {
    label: 'Conversations',
    mine: 'Mine',
    waiting: 'Waiting',
    all: 'All',
    live: 'Live',
    closed: 'Closed',
    search: 'Filter by name, e-mail or text',
    emptyMine: 'No conversation is yours right now.',
    emptyMineAvailable:
      'You are available: the next one is offered to you. You can also take one that waits.',
    emptyMineHint:
      'Set yourself to Available and they will be offered to you, or take one that waits.',
    emptyWaiting: 'Nobody is waiting.',
    emptyAll: 'No live conversations.',
    emptyClosed: 'No closed conversations.',
    noMatch: 'Nothing matches the filter.',
    beyond: (count: number): string => `Only the ${count} most urgent conversations were searched.`,
    noPreview: 'No messages yet',
    unread: (count: number): string => `${count} unread`,
    left: 'Left a message',
    earlier: 'Load earlier ones',
    position: (position: number): string => `#${position} in the queue`,
    note: 'Note',
    noteDraft: 'Note draft: ',
    draft: 'Draft: ',
    chooseOne: 'Choose a conversation',
    chooseOneHint: 'Press J and K to move through the list, ? for all keys.',
  },

  offer: {
    title: 'New conversation',
    transfer: (giver: string): string => `${giver} wants to hand this over to you`,
    announced: (title: string, visitor: string, byKey: boolean): string =>
      `${title}: ${visitor}.${byKey ? ' Press A to accept.' : ''}`,
    missed: (visitor: string): string =>
      `You missed a conversation that was offered to you: ${visitor}.`,
    accept: 'Accept',
    decline: 'Decline',
    more: (count: number): string => `+${count} more`,
    left: (seconds: number): string => `${seconds} s left`,
    late: 'Time is up…',
    waited: (time: string): string => `waiting for ${time}`,
  },

  thread: {
    label: 'Messages',
    earlier: 'Load earlier messages',
    beginning: 'The conversation begins here',
    newOnes: 'New messages',
    sending: 'Sending…',
    sent: 'Sent',
    delivered: 'Delivered',
    seen: 'Seen',
    failed: 'Not sent',
    retry: 'Try again',
    discard: 'Discard',
    note: 'Internal note',
    bot: 'Bot',
    isTyping: (who: string): string => `${who} is typing…`,
    forgotten: 'This conversation was erased.',
    absent: 'This conversation is not there.',
    absentHint: 'It may have been erased, its time may be over, or it is not yours to see.',
    unreadable:
      'This message is of a kind that this console does not know. Reload the page to get the newest one.',
    take: 'Take it',
    takeOver: 'Take over',
    withdraw: 'Withdraw',
    withdrawHint: 'Withdraw the transfer, which nobody has answered yet',
    acceptIt: 'Accept',
    transfer: 'Transfer',
    closeIt: 'Close',
    reopen: 'Reopen',
    closing: (visitor: string): string => `The conversation with ${visitor} is being closed.`,
    closingOff: (visitor: string): string =>
      `${visitor} wrote something: the conversation stays open.`,
    untaken: (who: string): string =>
      `${who} did not take it over. The conversation is still with you.`,
    details: 'Details',
    showDetails: 'Show details',
    hideDetails: 'Hide details',
    offeredTo: (who: string): string => `Offered to ${who}`,
    assignedTo: (who: string): string => `With ${who}`,
    privacy: 'Privacy tag',
    event: {
      assigned: (who: string): string => `${who} took the conversation`,
      requeued:
        'The agent was away for too long: the conversation waits again, at the head of the queue',
      transferred: (who: string): string => `${who} took over the conversation`,
      closed: (who: string): string => `${who} closed the conversation`,
      closedUnsaid: 'The conversation was closed',
      reopened: (who: string): string => `${who} opened the conversation again`,
      reopenedUnsaid: 'The conversation was opened again',
      abandoned: 'The conversation was closed, as nobody had written for a long time',
      unknown: 'Something happened that this console has no words for',
    },
  },

  composer: {
    reply: 'Reply',
    note: 'Note',
    mode: 'Kind of message',
    replyPlaceholder: 'Write to the visitor…',
    notePlaceholder: 'Write a note that only agents see…',
    send: 'Send',
    addNote: 'Add note',
    hintEnter: 'Enter sends, Shift+Enter begins a new line',
    hintCtrl: 'Ctrl+Enter sends',
    left: (chars: number): string =>
      chars >= 0
        ? `${plural(chars, 'character', 'characters')} left`
        : `${plural(-chars, 'character', 'characters')} too many`,
    closed: 'This conversation is closed. Reopen it to write on; a note can be added any time.',
    waiting: 'Nobody has this conversation. Take it to answer; a note can be added any time.',
    kept: 'Your reply is kept here until it can be sent.',
    asks: 'You began this internal note before you took the conversation. Only agents will see it.',
    replyInstead: 'Write to the visitor instead',
    another: (who: string): string => `This conversation is with ${who}. You can add a note.`,
    text: 'Message',
  },

  transfer: {
    title: 'Hand over to a colleague',
    lead: 'It stays with you until your colleague accepts.',
    none: 'There is no other agent yet.',
    asked: (who: string): string =>
      `${who} was asked. The conversation stays with you until it is accepted.`,
    untaken: (who: string, visitor: string): string =>
      `${who} did not take over the conversation with ${visitor}. It is still with you.`,
    full: 'full',
    gone: 'not connected',
    search: 'Find a colleague',
  },

  context: {
    label: 'About the visitor',
    email: 'E-mail',
    page: 'Page',
    language: 'Language',
    here: 'On the site now',
    gone: 'Not on the site',
    conversation: 'Conversation',
    site: 'Website',
    began: 'Began',
    closedAt: 'Closed',
    agents: 'Took part',
    form: 'Form',
    tags: 'Tags',
    editTags: 'Edit tags',
    noTags: 'No tags',
    noTagsYet: 'There are no tags yet. An admin can make some.',
    earlier: 'Earlier conversations',
    noEarlier: 'This is the first one.',
    retention: 'Kept until',
    retentionLead: 'The last day on which the earliest message here can be read:',
    retentionNone: 'No end is set.',
    retentionMore: 'Why?',
  },

  privacyTag: {
    title: 'How long this is kept, and why',
    class: 'Kind of data',
    purposes: 'Purposes',
    bases: 'Legal bases',
    policy: 'Policy',
    ingested: 'Received on',
    expires: 'Unreadable from',
    rules: 'Rules that applied',
    reason: 'Reason',
    none: 'no end is set',
  },

  sites: {
    title: 'Websites',
    lead: 'Each has its own widget, texts and rules.',
    create: 'Add a website',
    name: 'Name',
    nameHint: 'Visitors see it at the top of the widget.',
    origins: 'Origins that may embed the widget',
    originsHint: 'One a line, with scheme and port where it has one: https://www.example.com',
    refused: 'Refused lately',
    refusedHint:
      'Pages of these origins wanted to show the widget and are not listed. Their visitors cannot write to you.',
    refusedAt: (when: string): string => `last on ${when}`,
    refusedNameless: 'A page without an origin (null)',
    refusedNull: 'a file on a disk, or a frame in a sandbox: it cannot be listed',
    refusedPlain: 'without https: it cannot be listed',
    addOrigin: 'Allow',
    originAdded: 'The origin was added. Its pages show the widget from their next load on.',
    created: 'The website was added. Put the tag on its pages.',
    none: 'No website yet.',
    plan: 'Plan',
    planHint: 'Set by the operator of this server. It decides how long transcripts are kept.',
    retention: 'Kept for',
    closed: 'Closed',
    embed: 'Embed tag',
    embedHint: 'Put it once on every page that shall show the widget, anywhere in the HTML.',
    general: 'General',
    texts: 'Texts',
    textsHint: 'What the widget says. Empty: its own words, in the visitor’s language.',
    textNames: {
      title: 'Title',
      greeting: 'Greeting',
      offline: 'When no agent is there',
      busy: 'When all agents are busy',
      placeholder: 'In the empty composer',
      launcher: 'On the launcher',
      closed: 'After closing',
    } as Record<string, string>,
    form: 'Form before a conversation',
    formHint: 'What a visitor is asked for. Ask for what you need, and no more.',
    formNames: { name: 'Name', email: 'E-mail', phone: 'Phone', question: 'Question' } as Record<
      string,
      string
    >,
    formRules: { hidden: 'Not asked', optional: 'Optional', required: 'Required' } as Record<
      string,
      string
    >,
    notice: 'Privacy notice',
    noticeText: 'Text',
    noticeUrl: 'Address of the full notice',
    redaction: 'Hide on arrival',
    redactionHint:
      'Payment card numbers and IBANs are always hidden before anything is stored. Add patterns of your own, one regular expression a line, such as customer numbers.',
    readOnly: 'Only an admin can change this.',
    saved: 'The website was saved.',
  },

  agents: {
    title: 'Agents',
    lead: 'Who answers your visitors.',
    invite: 'Invite',
    email: 'E-mail',
    role: 'Role',
    roleHints: {
      agent: 'Answers visitors.',
      supervisor: 'Answers, and sees and moves everything.',
      admin: 'The same, and sets up the organization.',
    } as Record<string, string>,
    link: 'Invitation link',
    linkHint: (email: string, until: string): string =>
      `Send it to ${email} yourself. It works once, until ${until}, and is not shown again.`,
    reset: 'Link to set a new password',
    resetAsk: (name: string): string =>
      `Make a link by which ${name} sets a new password? Nothing changes until it is used; a link that was made before stops working.`,
    resetMake: 'Make the link',
    resetHint: (name: string, until: string): string =>
      `Hand it to ${name} yourself. It works once, until ${until}, and is not shown again. Whoever has it can sign in as this agent.`,
    invited: 'Open invitations',
    until: (when: string): string => `until ${when}`,
    withdraw: 'Withdraw',
    withdrawn: 'The invitation was withdrawn.',
    deactivate: 'Deactivate',
    activate: 'Activate',
    deactivated: 'Deactivated',
    deactivateAsk: (name: string): string =>
      `Deactivate ${name}? All sessions end at once, and open conversations go back to the queue.`,
    changed: 'The agent was changed.',
    capacity: 'Limit',
  },

  keys: {
    title: 'API keys',
    lead: 'For programs that speak to livehelp on behalf of your organization.',
    create: 'Create a key',
    name: 'Name',
    nameHint: 'What it is for.',
    scopes: 'What it may do',
    scopesNone: 'Choose at least one.',
    secret: 'The new key',
    secretHint: 'Keep it in a safe place now. It is not shown again.',
    none: 'No keys yet.',
    revoke: 'Revoke',
    revokeAsk: (name: string): string =>
      `Revoke “${name}”? Programs that use it stop working at once.`,
    revoked: 'The key was revoked.',
    made: (when: string): string => `made ${when}`,
  },

  tags: {
    title: 'Tags',
    lead: 'Labels that agents put on conversations.',
    create: 'Add a tag',
    name: 'Name',
    none: 'No tags yet.',
    removeAsk: (name: string): string => `Remove the tag “${name}” from everywhere?`,
    removed: 'The tag was removed.',
  },

  account: {
    title: 'Account',
    lead: 'You, this browser, and where you are signed in.',
    profile: 'Profile',
    name: 'Name',
    password: 'Password',
    current: 'Current password',
    next: 'New password',
    change: 'Change password',
    changed: 'The password was changed.',
    sessions: 'Sessions',
    thisOne: 'This one',
    unnamed: 'A browser',
    signedIn: (when: string): string => `since ${when}`,
    ends: (when: string): string => `ends ${when}`,
    end: 'Sign out there',
    ended: 'That session was ended.',
    signOut: 'Sign out',
    browser: 'This browser',
    theme: 'Appearance',
    themes: { system: 'As the system', light: 'Light', dark: 'Dark' },
    sound: 'Sound',
    soundOn: 'On',
    soundOff: 'Off',
    sendWith: 'Send with',
    sendEnter: 'Enter',
    sendCtrl: 'Ctrl+Enter',
    keys: 'Single-key shortcuts',
    keysOn: 'On',
    keysOff: 'Off',
  },

  help: {
    title: 'Keys',
    rows: [
      ['J / K', 'Next / previous conversation'],
      ['1 / 2 / 3', 'Mine / Waiting / All'],
      ['A', 'Accept the offer, or take the conversation'],
      ['R', 'Reply'],
      ['N', 'Internal note'],
      ['T', 'Transfer'],
      ['E', 'Close the conversation'],
      ['Z', 'Keep it open, within five seconds'],
      ['I', 'Show or hide the details'],
      ['/', 'Filter the list'],
      ['Esc', 'Leave the field or dialog'],
      ['?', 'This list'],
    ] as const,
  },

  problems: {
    lineDown: 'The server cannot be reached. Check the connection and try again.',
    tooMany: 'That was too many requests in too short a time. Wait a moment and try again.',
    forbidden: 'Your role does not allow this.',
    notFound: 'It is not there any more.',
    server: 'The server could not do it. Nothing was changed; try again.',
  },

  ago: {
    seconds: (count: number): string => `${count} s`,
    minutes: (count: number): string => `${count} min`,
    hours: (hours: number, minutes: number): string =>
      minutes === 0 ? `${hours} h` : `${hours} h ${minutes} min`,
    days: (count: number): string => plural(count, 'day', 'days'),
  },
  today: 'Today',
  yesterday: 'Yesterday',
} as const;

const REJECTS: Record<RejectCode, string> = {
  'unknown-kind':
    'The server is older than this page and does not know what was asked. Reload the page.',
  invalid: 'The server could not take this.',
  'not-found': 'It is not there any more.',
  forbidden: 'Your role does not allow this.',
  'too-long': 'The text is too long.',
  closed: 'The conversation is closed. Reopen it first.',
  conflict: 'This was sent before with another content.',
  gone: 'Too late: the conversation has moved on.',
  'at-capacity': 'There is no room: the limit of conversations is reached.',
  expired: 'Its time of retention is over.',
  'limit-reached': 'A limit is reached.',
  'site-closed': 'The website is closed.',
  'consent-required': 'The visitor has not agreed to this.',
  'too-fast': 'That was too fast. Wait a moment.',
  'store-unavailable':
    'The server cannot store anything right now. Nothing was changed; try again in a moment.',
  overload: 'The server has more to do than it can. Try again in a moment.',
  unknown: 'The server refused this.',
  'unknown-retryable': 'The server cannot take this right now. Try again in a moment.',
};

/** A refusal of a frame as a sentence; where the code says little, with the server's own words. */
export function rejectSentence(code: RejectCode, words: string): string {
  const says = REJECTS[code];
  const vague =
    code === 'invalid' ||
    code === 'limit-reached' ||
    code === 'too-long' ||
    code === 'unknown' ||
    code === 'unknown-retryable';
  return vague && words !== '' ? `${says} (${words})` : says;
}

/** A refusal of REST as a sentence. */
export function problemSentence(problem: unknown): string {
  if (!(problem instanceof Problem)) return t.problems.server;
  if (problem.status === 0) return t.problems.lineDown;
  if (problem.status === 429) return t.problems.tooMany;
  if (problem.status >= 500) return t.problems.server;
  if (problem.detail !== '') return problem.detail;
  if (problem.status === 403) return t.problems.forbidden;
  if (problem.status === 404) return t.problems.notFound;
  return t.problems.server;
}
