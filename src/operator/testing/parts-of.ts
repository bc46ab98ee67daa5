import { fakeDigest } from '../../api/names.fixture.ts';
import type { Verified } from '../../signature/verify.ts';
import type { FakeClock } from '../../time/fake-clock.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { Policies } from '../objects/policies.ts';
import type { Term } from '../reconcile/controller.ts';
import { NameClaims } from '../reconcile/name-claims.ts';
import { PolicyVerdicts } from '../reconcile/policy-verdicts.ts';
import { Presences } from '../reconcile/presence.ts';
import { type Ask, type Resolve, Resolver } from '../reconcile/resolver.ts';
import { type SignatureQuestion, SignatureVerdicts } from '../reconcile/signature-verdicts.ts';
import { Spread } from '../reconcile/spread.ts';
import { Uses } from '../reconcile/uses.ts';
import type { FakeCluster } from './fake-cluster.ts';

type World = { readonly cluster: FakeCluster; readonly fleet: Fleet; readonly clock: FakeClock };
type Given = {
  readonly term?: Partial<Term>;
  readonly resolve?: Resolve;
  readonly verify?: Ask<SignatureQuestion, Verified>;
};

/** For tests: what the controllers of one term share, as `startTerm` makes it. The term begins now; registries answer at once. */
export const partsOf = ({ cluster, fleet, clock }: World, given: Given = {}) => {
  const { resolve = async () => fakeDigest('f'), verify = async () => ({ signers: ['release'] }) } = given;
  const term = { epoch: 1, since: clock.monotonic(), fence: () => 1, ...given.term };
  const { writer, recorder } = cluster;
  const policies = new Policies(cluster.policies);
  const base = { clock, term, objects: cluster, fleet, writer, recorder, policies };
  const presences = new Presences(base);
  const asking = { clock, random: () => 0 };
  const verifier = new Resolver({ ...asking, resolve: verify, what: 'signatures' });
  return {
    ...base,
    presences,
    claims: new NameClaims(cluster, presences),
    uses: new Uses(cluster.rollouts),
    verdicts: new PolicyVerdicts(cluster, policies),
    signatures: new SignatureVerdicts(policies, verifier),
    spread: new Spread(clock),
    resolver: new Resolver({ ...asking, resolve, what: 'digest' }),
  };
};
