import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { ObjectKey } from '../../api/names.ts';
import { type EnrolmentToken, readToken } from '../../control/enrolment.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';
import { Identity_Kind } from '../../gen/adaptlet/control/v1/control.ts';
import { createMeasure } from '../../measurement/measure.ts';
import { withElsewhere, withTold } from '../../rollout/judge/elsewhere.ts';
import { reportsOf } from '../../rollout/judge/reports.ts';
import { ToldRewards } from '../../rollout/judge/told-rewards.ts';
import type { Clock } from '../../time/clock.ts';
import type { Settings } from '../config/settings.ts';
import type { SitePeers } from '../peers/peers.ts';
import type { PlanInForce } from '../plan-source/plan-in-force.ts';
import type { PlanSource } from '../plan-source/plan-source.ts';
import type { Residency } from '../residency/manager.ts';
import { policyOf } from '../routing/table.ts';
import { StandaloneController } from '../standalone/controller.ts';
import { LoadedAdapters } from '../standalone/loaded-adapters.ts';
import { standaloneSource } from '../standalone/source.ts';
import type { Memory, Recalled } from '../state/memory.ts';
import { Device } from '../sync/device.ts';
import { deviceDialer, enrolmentCalls } from '../sync/device-dial.ts';
import { tlsDialer } from '../sync/dial.ts';
import { type Introduction, type SyncParts, SyncSource } from '../sync/source.ts';
import type { NodeTime } from '../sync/trust.ts';

export type SourceParts = {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly memory: Memory;
  readonly remembered: Recalled;
  readonly residency: Residency;
  readonly retryFailed: SyncParts['retryFailed'];
  readonly plan: PlanInForce;
  readonly pulls: SyncParts['pulls'];
  readonly peers: SitePeers | undefined;
  readonly serving: SyncParts['serving'];
  readonly time: NodeTime;
  readonly holds: SyncParts['holds'];
  readonly feedbackKeys: SyncParts['feedbackKeys'];
  readonly node: SyncParts['node'];
  readonly introduction: () => Pick<
    Introduction,
    'instance' | 'version' | 'baseDigest' | 'executionProvider'
  >;
};

/**
 * What the plan comes from: the operator or the folder that the settings name, else what it came from last. Nothing is
 * in force yet, and nothing is followed.
 * @throws CONFIG_INVALID for a token of a device that cannot be read
 */
export const openSource = (parts: SourceParts): PlanSource => {
  const { settings, memory, remembered, logger } = parts;
  const given = givenIn(settings);
  if (given !== undefined && given !== remembered.source) {
    memory.source.write({ follows: given }).catch((error: unknown) => {
      logger.error({ err: error }, 'what the plan comes from could not be written to disk');
    });
  }
  return followsOperator(settings, remembered) ? operatorSource(parts) : folderSource(parts);
};

const givenIn = ({ operator, enrolTokenFile, manifests }: Settings): Recalled['source'] => {
  if (operator !== undefined || enrolTokenFile !== undefined) return 'operator';
  return manifests === undefined ? undefined : 'manifests';
};

/** Whether the plan comes from an operator, now or when it came last. */
export const followsOperator = (settings: Settings, { source }: Pick<Recalled, 'source'>): boolean =>
  (givenIn(settings) ?? source) === 'operator';

const operatorSource = (parts: SourceParts): PlanSource => {
  const { settings, introduction, remembered, time, peers } = parts;
  const { operator: address, operatorCa: caFile, operatorToken: tokenFile } = settings;
  const device = caFile === undefined ? deviceOf(parts) : undefined;
  return new SyncSource({
    ...parts,
    peers: peers?.questions,
    random: Math.random,
    operator:
      device !== undefined
        ? {
            address: address ?? device.enrolment.address,
            dial: deviceDialer(device, { address, time }),
            close: () => device.close(),
          }
        : address === undefined || caFile === undefined
          ? undefined
          : { address, dial: tlsDialer({ address, caFile, tokenFile, time }) },
    introduction: () => ({
      ...introduction(),
      identity: {
        namespace: device?.enrolment.namespace ?? settings.runtimeNamespace,
        name: device?.enrolment.name ?? settings.runtimeName,
        kind: device === undefined && settings.runtimeKind === 'pod' ? Identity_Kind.POD : Identity_Kind.NODE,
      },
      baseModel: settings.modelName,
      maxRank: settings.maxRank,
      labels: settings.labels,
      peerAddress: peers?.address ?? '',
    }),
    remembered: { plan: remembered.plan, link: remembered.link },
  });
};

/** Undefined: this node was never given a token. */
const deviceOf = ({ settings, memory, remembered, clock, time, logger }: SourceParts): Device | undefined => {
  const { enrolTokenFile: file, operator } = settings;
  const token = file === undefined ? undefined : tokenIn(file, remembered.device !== undefined);
  if (token === undefined && remembered.device === undefined) return undefined;
  return new Device({
    token,
    remembered: remembered.device,
    memory: memory.device,
    calls: ({ address, authority }) => enrolmentCalls(operator ?? address, authority, time),
    clock,
    logger,
  });
};

/** @throws CONFIG_INVALID */
const tokenIn = (file: string, isEnrolled: boolean): EnrolmentToken | undefined => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    // It is needed once.
    if (isEnrolled && errnoOf(error) === 'ENOENT') return undefined;
    throw new AdaptletError('CONFIG_INVALID', `--enrol-token-file: ${file} cannot be read`, { cause: error });
  }
  return readToken(text, `--enrol-token-file: ${file}`);
};

/** Made once, so that tokens of sessions count after a restart; a disk that refuses it costs the tokens of this process. */
const sessionSecretOf = ({
  memory,
  remembered,
  logger,
}: Pick<SourceParts, 'memory' | 'remembered' | 'logger'>): string => {
  if (remembered.sessions !== undefined) return remembered.sessions.secret;
  const secret = randomBytes(32).toString('base64url');
  memory.sessions.write({ secret }).catch((error: unknown) => {
    logger.error({ err: error }, 'the secret of sessions could not be written to disk');
  });
  return secret;
};

/** What the only node of a folder is called in reports of counts. */
const thisNode = 'this-node';

const folderSource = ({
  settings,
  clock,
  logger,
  memory,
  remembered,
  residency,
  plan,
  holds,
  node,
  introduction,
}: SourceParts): PlanSource => {
  const controller = new StandaloneController(
    {
      clock,
      logger,
      runtime: { baseModel: settings.modelName, labels: settings.labels },
      memory: memory.standalone,
      sessionSecret: sessionSecretOf({ memory, remembered, logger }),
      node: {
        adapter: (key) => {
          const view = residency.view(key);
          return view === undefined ? undefined : { ...view, uid: plan.uidOf(key) ?? '' };
        },
        holds: (uid) => holds.ofRollout(uid),
        reports: (uid, canary, attempt) => {
          const by = { node: thisNode, instance: introduction().instance };
          const reports = node.splits.reports(uid, canary, attempt).map((counts) => ({ ...by, ...counts }));
          // Of answers that earlier processes of this node gave.
          const told = ToldRewards.of(node.elsewhere.reports(uid, canary, attempt));
          return withElsewhere(reportsOf(reports), withTold(new Map(), [{ ...by, told }])).reports;
        },
        mirrored: (uid, canary, attempt) => node.mirrored.ofAttempt(uid, canary, attempt),
        fits: (keys) => residency.fits(keys),
      },
      // Whoever may write into the folder of this node may have it ask any server, but for a policy in it.
      measure: createMeasure({
        fetch,
        hosts: [],
        hostsOf: (tenant) => policyOf(plan.table, tenant)?.sources.metricHosts,
      }),
      apply: (next) => plan.apply(next),
    },
    remembered.standalone,
  );
  const retryAdapter = (key: ObjectKey): void => {
    if (residency.state(key)?.kind === 'Failed') residency.retry(key);
  };
  const { manifests, namespace, importRoots, modelName: baseModel } = settings;
  const brought =
    manifests === undefined
      ? undefined
      : new LoadedAdapters({ controller, clock, folder: manifests, importRoots, baseModel });
  return standaloneSource({ controller, holds, retryAdapter, clock, manifests, namespace, brought });
};
