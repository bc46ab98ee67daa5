import { pino } from 'pino';
import { copiesToWire } from '../../src/control/copies-wire.ts';
import { Receiver } from '../../src/control/receiver.ts';
import { revisionToWire } from '../../src/control/revision.ts';
import {
  type AdapterReport,
  Identity_Kind,
  type Report,
  type RolloutReport,
} from '../../src/gen/adaptlet/control/v1/control.ts';
import { enforcedFields } from '../../src/plan/policy-fields.ts';
import type { Plan } from '../../src/plan/resources.ts';
import { Connection } from '../../src/runtime/sync/connection.ts';
import { type DialOptions, tlsDialer } from '../../src/runtime/sync/dial.ts';
import { systemClock } from '../../src/time/clock.ts';

export type BareOptions = {
  readonly namespace: string;
  readonly name: string;
  readonly baseModel: string;
  readonly dial: DialOptions;
  /** After each commit, with the plan in force. */
  readonly inForce: (plan: Plan) => void;
};

const digest = `sha256:${'b'.repeat(64)}`;

/**
 * A runtime without an engine: the real connection and the real receiver; every adapter that the plan wants in RAM is
 * Resident at once. For scale.
 */
export class BareRuntime {
  readonly #options: BareOptions;
  readonly #receiver = new Receiver({ clock: systemClock });
  readonly #connection: Connection;
  #seq = 0n;
  #whole = true;

  constructor(options: BareOptions) {
    this.#options = options;
    this.#connection = new Connection({
      dial: tlsDialer(options.dial),
      clock: systemClock,
      random: Math.random,
      logger: pino({ enabled: false }),
      peer: {
        hello: () => Promise.resolve(this.#hello()),
        welcome: ({ clusterUid }) => this.#receiver.welcome(clusterUid),
        put: (resource) => this.#receiver.put(resource),
        remove: (key) => this.#receiver.remove(key),
        commit: (commit) => {
          const done = this.#receiver.commit(commit);
          if (done.outcome === 'Rejected') throw new Error(done.reason);
          options.inForce(done.plan);
          this.#connection.report();
          return Promise.resolve({ nonce: commit.nonce, refused: [...done.refused] });
        },
        unknown: () => undefined,
        credential: () => undefined,
        peers: () => undefined,
        servingCertificate: () => undefined,
        feedbackKeys: () => undefined,
        broken: () => this.#receiver.broken(),
        held: (partHashes) => this.#receiver.heldListWithout(partHashes),
        subscribe: () => ({ names: [] }),
        report: () => this.#report(),
      },
    });
  }

  get plan(): Plan {
    return this.#receiver.plan;
  }
  get isConnected(): boolean {
    return this.#connection.state.kind === 'connected';
  }
  get lastError(): string {
    return this.#connection.state.lastError;
  }

  start(): void {
    this.#connection.start();
  }
  close(): void {
    this.#connection.close();
  }

  #hello() {
    const { namespace, name, baseModel } = this.#options;
    const { clusterUid, revision } = this.#receiver.hello();
    const isHashed = this.#receiver.plan.size > 0;
    this.#whole = true;
    return {
      protocol: 1,
      peerAddress: '',
      identity: { namespace, name, kind: Identity_Kind.NODE },
      instance: name,
      connectionSeq: ++this.#seq,
      version: '0.0.0',
      baseModel,
      baseDigest: digest,
      executionProvider: 'CPUExecutionProvider',
      maxRank: 256,
      labels: {},
      clusterUid,
      revision: revisionToWire(revision),
      held: [],
      heldHash: isHashed ? this.#receiver.heldHash() : Buffer.alloc(0),
      subscriptions: [],
      policyFields: [...enforcedFields],
    };
  }

  #report(): Report {
    const adapters: AdapterReport[] = [];
    const rollouts: RolloutReport[] = [];
    for (const resource of this.plan.values()) {
      if (resource.type === 'AdapterSpec' && resource.body.tier === 'Memory') {
        adapters.push({
          key: resource.name,
          uid: resource.body.uid,
          digest: resource.body.digest ?? '',
          state: 'Resident',
          reason: '',
          message: '',
          isFinal: false,
          inTurn: false,
          storedBytes: 1_000_000n,
          residentBytes: 1_000_000n,
          neededBytes: 1_000_000n,
          rank: 8,
          targetModules: ['q_proj'],
        });
      }
      if (resource.type === 'Split') {
        const { uid, stable, canary, weight, mirror = 0 } = resource.body;
        rollouts.push({
          key: resource.name,
          uid,
          stableDigest: stable?.digest ?? '',
          canaryDigest: canary?.digest ?? '',
          attempt: canary?.attempt ?? 0,
          weight,
          effectiveWeight: canary === undefined ? 0 : weight,
          servedStable: 0n,
          servedCanary: 0n,
          holds: [],
          counts: [],
          elsewhere: [],
          mirror: copiesToWire(mirror, undefined),
        });
      }
    }
    const whole = this.#whole;
    this.#whole = false;
    const budget = { budgetBytes: 1_000_000_000n, usedBytes: 1_000_000n };
    return {
      whole,
      resumes: false,
      likeParts: [],
      adapters,
      gone: [],
      rollouts,
      goneRollouts: [],
      memory: budget,
      disk: budget,
      ready: true,
      message: '',
      removalsHeld: undefined,
      baseModel: undefined,
      limits: [],
      classifiers: undefined,
    };
  }
}
