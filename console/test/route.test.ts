import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRoute } from '../src/state/route.ts';

test('an address after the hash is read, and a broken one leads to the conversations', () => {
  assert.deepEqual(parseRoute(''), { kind: 'conversations', conversation: null });
  assert.deepEqual(parseRoute('#/'), { kind: 'conversations', conversation: null });
  assert.deepEqual(parseRoute('#/conversations/cnv_1'), {
    kind: 'conversations',
    conversation: 'cnv_1',
  });
  assert.deepEqual(parseRoute('#/invitations/a%2Fb'), { kind: 'invitation', token: 'a/b' });
  assert.deepEqual(parseRoute('#/password-resets/lhp_1'), {
    kind: 'password-reset',
    token: 'lhp_1',
  });
  assert.deepEqual(parseRoute('#/sites'), { kind: 'sites', site: null });
  assert.deepEqual(parseRoute('#/sites/sit_1'), { kind: 'sites', site: 'sit_1' });
  assert.deepEqual(parseRoute('#/%E0%A4%A'), { kind: 'conversations', conversation: null });
});
