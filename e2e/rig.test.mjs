// What the rig takes for a fault of a page, and what for an answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isExpected } from './rig/browser.mjs';

const ORIGIN = 'http://127.0.0.1:4000';
const told = (text, path = '/') =>
  isExpected({ text: () => text, location: () => ({ url: ORIGIN + path }) });
const answered = (status, path) =>
  told(`Failed to load resource: the server responded with a status of ${status} (Words)`, path);

test('a refusal is an answer only where an act expects it', () => {
  assert.ok(answered(401, '/v1/sessions/current'));
  assert.ok(answered(401, '/v1/sessions'));
  assert.ok(answered(404, '/v1/invitations/lookup'));
  for (const [status, path] of [
    [500, '/v1/sessions/current'],
    [503, '/v1/invitations/lookup'],
    [404, '/v1/sessions/current'],
    [401, '/v1/invitations/lookup'],
    [404, '/v1/conversations/x'],
    [401, '/v1/agents?from=/v1/sessions'],
    [401, '/v1/sessions/ses_1'],
  ]) {
    assert.ok(!answered(status, path), `${status} ${path}`);
  }
});

test('a connection that is down is no fault, a handshake that failed at the server is one', () => {
  const socket = `WebSocket connection to 'ws://127.0.0.1:4000/v1/socket' failed: `;
  assert.ok(told(`${socket}Error in connection establishment: net::ERR_CONNECTION_REFUSED`));
  assert.ok(told('Failed to load resource: net::ERR_CONNECTION_RESET'));
  assert.ok(!told(`${socket}Error during WebSocket handshake: Unexpected response code: 500`));
  assert.ok(!told('Refused to connect: WebSocket connection to elsewhere violates the policy'));
  assert.ok(!told('Failed to load resource: net::ERR_BLOCKED_BY_CSP'));
});
