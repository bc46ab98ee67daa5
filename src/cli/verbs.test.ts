import { describe, expect, it } from 'vitest';
import { StatusResponse } from '../gen/adaptlet/inference/v1/admin.ts';
import { specIsElsewhere, verbCommands } from './verbs.ts';

const undo = { verb: 'undo', change: 'set spec.adapter back' };
const statusOf = (fields: object) =>
  StatusResponse.fromPartial({ rollouts: [{ key: 'team-a/sql' }], ...fields });

describe('undo, pause and resume on a node', () => {
  it.each([
    [
      'one of its own says in which folder the spec is',
      'sql',
      { manifests: { folder: '/srv/manifests' } },
      'team-a/sql: this node only follows the spec: set spec.adapter back in its manifest in /srv/manifests',
    ],
    [
      'one without a folder any more does not name one',
      'team-a/sql',
      { manifests: { folder: '' } },
      'team-a/sql: this node only follows the spec: set spec.adapter back in its manifest',
    ],
    [
      'one that follows an operator names the command for the cluster',
      'sql',
      { operator: { address: 'operator:9443' } },
      'team-a/sql: the spec is in the cluster: use `kubectl adaptlet undo sql -n team-a`',
    ],
    ['a name that is not there is said first', 'sq', {}, 'there is no AdapterRollout sq here'],
  ])('%s', (_, name, fields, message) => {
    expect(specIsElsewhere(undo, name, statusOf(fields))).toBe(message);
  });

  it('say in their help that they always fail', () => {
    const told = verbCommands().filter((command) => /always an error/.test(command.description()));
    expect(told.map((command) => command.name())).toEqual(['undo', 'pause', 'resume']);
  });

  it('are among the commands, so that nobody is told that they are unknown', () => {
    const names = verbCommands().map((command) => command.name());
    expect(names).toEqual(expect.arrayContaining(['undo', 'pause', 'resume', 'promote', 'rollback']));
  });
});
