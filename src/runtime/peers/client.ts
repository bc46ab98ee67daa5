import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { createSecureContext, type PeerCertificate, type SecureContext } from 'node:tls';
import { type Answer, HttpClient } from '../../artifact/http-client.ts';
import {
  type Peer,
  PeerBusy,
  type PeerQuestion,
  type PeerWord,
  peerStates,
} from '../../artifact/peer-site.ts';
import { peerUri, uriOf } from '../../control/peer-names.ts';
import { responseOf } from '../../egress/guarded-fetch.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';
import { bytesHeader, type PeerCredential, stateHeader } from './server.ts';

/** Milliseconds without a byte after which a connection counts as broken. */
const idleMs = 30_000;

/** Read once for all peers that are asked with it. */
const contexts = new WeakMap<PeerCredential, SecureContext>();

const contextOf = (credential: PeerCredential): SecureContext => {
  const { certificate: cert, key, authorities: ca } = credential;
  const context = contexts.get(credential) ?? createSecureContext({ cert, key, ca, minVersion: 'TLSv1.3' });
  contexts.set(credential, context);
  return context;
};

/** Another runtime, and how it is asked for one claim. */
export type PeerConnection = Peer & Disposable;

type Options = {
  readonly name: string;
  /** IP address and port. */
  readonly address: string;
  /** The certificate is for `question`. */
  readonly credential: PeerCredential;
  readonly question: Pick<PeerQuestion, 'image'>;
  readonly clock: Clock;
};

/** Asks another runtime, and no other one that may answer at its address. */
export const connectPeer = ({ name, address, credential, question, clock }: Options): PeerConnection => {
  const { site } = credential;
  const isIt = (_: string, { subjectaltname }: PeerCertificate): Error | undefined =>
    uriOf(subjectaltname) === peerUri({ site, runtime: name })
      ? undefined
      : new Error(`the certificate is not that of ${name} in the site ${site}`);
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 2,
    // Who answers is looked at each time.
    maxCachedSessions: 0,
    secureContext: contextOf(credential),
    checkServerIdentity: isIt,
  });
  const fetchPeer: typeof fetch = async (input, init = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = Object.fromEntries(new Headers(init.headers));
    const { method = 'GET' } = init;
    const options = { method, headers, agent, ...(init.signal ? { signal: init.signal } : {}) };
    httpsRequest(new URL(input instanceof Request ? input.url : input), options)
      .on('response', resolve)
      .on('error', reject)
      .end();
    try {
      return responseOf(await promise);
    } catch (cause) {
      throw new AdaptletError('REGISTRY_UNAVAILABLE', `the runtime ${name} at ${address} did not answer`, {
        cause,
        advice: 'Nothing to do: others of the site are asked, and the registry.',
      });
    }
  };
  const http = new HttpClient({ fetch: fetchPeer, clock, idleMs, insecureHosts: [] });
  const { registry, repository } = question.image;
  const urlOf = (blob: string): URL =>
    new URL(`https://${address}/v2/${repository}/blobs/${blob}?ns=${encodeURIComponent(registry)}`);
  return {
    name,
    async look(blob, signal): Promise<PeerWord> {
      await using answer = await http.send(urlOf(blob), { method: 'HEAD', headers: {} }, signal);
      const { status, headers } = answer.response;
      const state = peerStates.find((one) => one === headers.get(stateHeader));
      const bytes = Number(headers.get(bytesHeader) ?? Number.NaN);
      if ((status === 200) !== (state === 'here') || state === undefined || !Number.isSafeInteger(bytes))
        throw new AdaptletError(
          'REGISTRY_UNAVAILABLE',
          `the runtime ${name} says nothing of a blob (${status})`,
        );
      return { state, bytes };
    },
    async get(blob, headers, signal): Promise<Answer> {
      try {
        return await http.send(urlOf(blob), { method: 'GET', headers }, signal);
      } catch (error) {
        const isBusy = error instanceof AdaptletError && error.retryAfterMs !== undefined;
        throw isBusy ? new PeerBusy(error.what, { cause: error }) : error;
      }
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
};
