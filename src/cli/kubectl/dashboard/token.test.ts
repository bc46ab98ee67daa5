import { expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { KubeRequest } from '../../../kube/client/api.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { viewerToken } from './token.ts';

const make = ({ own, account }: { readonly own?: string; readonly account?: string }) => {
  const asked: KubeRequest[] = [];
  const clock = new FakeClock();
  let failure: Error | undefined;
  const api = {
    bearer: async () => own,
    request: async (request: KubeRequest) => {
      asked.push(request);
      if (failure !== undefined) throw failure;
      return { status: { token: `made-${asked.length}` } } as never;
    },
  };
  const token = viewerToken({ api, clock, namespace: 'adaptlet-system', account });
  return { asked, clock, token, fail: (error: Error | undefined) => void (failure = error) };
};

it('is the own one of a person who has one, and no other is made', async () => {
  const { token, asked } = make({ own: 'mine' });
  expect([await token(), asked.length]).toEqual(['mine', 0]);
});

it('is made for the dashboard alone where a kubeconfig has a certificate, and anew before it ends', async () => {
  const { token, asked, clock } = make({});
  expect([await token(), await token()]).toEqual(['made-1', 'made-1']);
  expect(asked[0]).toMatchObject({
    path: '/api/v1/namespaces/adaptlet-system/serviceaccounts/adaptlet-dashboard/token',
    body: { spec: { audiences: ['adaptlet-dashboard'], expirationSeconds: 600 } },
  });
  clock.advance(480_000);
  expect(await token()).toBe('made-2');
});

it('is that of the account that is named, also for those who have one of their own', async () => {
  const { token, asked } = make({ own: 'mine', account: 'team-a/viewer' });
  expect(await token()).toBe('made-1');
  expect(asked[0]?.path).toBe('/api/v1/namespaces/team-a/serviceaccounts/viewer/token');
});

it('says what to do where none can be made, and tries again', async () => {
  const { token, fail } = make({});
  fail(new AdaptletError('KUBE_FORBIDDEN', 'no'));
  await expect(token()).rejects.toMatchObject({
    code: 'VIEWER_UNKNOWN',
    advice: expect.stringContaining('--service-account'),
  });
  fail(undefined);
  expect(await token()).toBe('made-2');
});
