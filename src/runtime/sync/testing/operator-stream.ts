import { noRevision, type Revision } from '../../../control/revision.ts';
import { resourceToWire } from '../../../control/wire.ts';
import type {
  Ack,
  Report,
  SyncRequest,
  SyncResponse,
  Welcome,
} from '../../../gen/adaptlet/control/v1/control.ts';
import { type Resource, versioned } from '../../../plan/resources.ts';

/** What an operator says on one stream, and what it has heard there. */
export abstract class OperatorStream {
  readonly requests: SyncRequest[] = [];
  #nonce = 0n;

  abstract send(message: NonNullable<SyncResponse['message']>): void;

  welcome(clusterUid = 'cluster-1', more: Partial<Welcome> = {}): void {
    const usual = {
      clusterUid,
      replica: 'replica-1',
      readsHeldHash: true,
      reportsKept: undefined,
      reportLike: undefined,
      feedbackKeys: [],
    };
    this.send({ $case: 'welcome', value: { ...usual, ...more } });
  }

  put(...resources: readonly Resource[]): void {
    for (const r of resources) this.send({ $case: 'put', value: resourceToWire(versioned(r)) });
  }

  commit(revision: Revision = noRevision, confirmedRemovals = ''): bigint {
    this.#nonce += 1n;
    const value = { nonce: this.#nonce, revision: { ...revision }, confirmedRemovals };
    this.send({ $case: 'commit', value });
    return this.#nonce;
  }

  get acks(): Ack[] {
    return this.requests.flatMap(({ message }) => (message?.$case === 'ack' ? [message.value] : []));
  }
  get reports(): Report[] {
    return this.requests.flatMap(({ message }) => (message?.$case === 'report' ? [message.value] : []));
  }
  get subscribed(): string[][] {
    return this.requests.flatMap(({ message }) =>
      message?.$case === 'subscribe' ? [message.value.names] : [],
    );
  }
}
