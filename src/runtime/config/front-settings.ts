import { bytes, count, duration, list, networkList } from '../../settings/values.ts';

const maxPriority = 1000;

/** Priorities by name, as name=priority pairs separated by commas. */
const objectives = list.transform((pairs, context): ReadonlyMap<string, number> => {
  const entries = pairs.map((pair): [string, number] => {
    const [, name = '', priority = ''] = /^([^=\s]+)=([+-]?\d{1,4})$/.exec(pair) ?? [];
    return [name, priority === '' ? Number.NaN : Number(priority)];
  });
  if (!entries.every(([, priority]) => Math.abs(priority) <= maxPriority))
    context.addIssue(
      `must be name=priority pairs separated by commas, with whole numbers from -${maxPriority} to ${maxPriority}`,
    );
  if (new Set(entries.map(([name]) => name)).size < entries.length)
    context.addIssue('names an objective twice');
  return new Map(entries);
});

/** Who stands in front of the request ports, and how much connections may take. */
export const frontSettings = {
  gatewayAddresses: networkList
    .prefault('')
    .describe(
      'Addresses and networks (10.0.0.0/8) of gateways, separated by commas, that are believed what they say of a request: x-llm-d-inference-fairness-id or x-gateway-inference-fairness-id is its tenant, x-llm-d-inference-objective or x-gateway-inference-objective its objective, x-session-id its session. The rights of its credential hold. They have to take these headers off what clients send. Their connections do not wait for others that were ended for what clients sent through them, or that clients left. Empty: none is.',
    ),
  gatewayObjectives: objectives
    .prefault('')
    .describe('Priorities of objectives, as interactive=100,batch=-100. A name that is not here has none.'),
  maxConnections: count(16, 65_535)
    .prefault(4096)
    .describe(
      'Connections that each request port has at the same time. One more is closed at once, and HTTP then closes the one that is idle the longest.',
    ),
  idleTimeout: duration
    .refine((ms) => ms >= 1000 && ms <= 86_400_000, { error: 'must be from 1s to 24h' })
    .prefault('120s')
    .describe(
      'How long a connection may be without a request before it is closed. Clients and gateways close their own after 60 to 90 seconds: where this is shorter, requests fail that are sent just then. Over HTTP the first request of a connection has to begin within 20 seconds.',
    ),
  bodyTimeout: duration
    .refine((ms) => ms >= 1000 && ms <= 3_600_000, { error: 'must be from 1s to 1h' })
    .prefault('60s')
    .describe('How long the body of a request, or the message of a call, may be on its way.'),
  bodyMemory: bytes
    .refine((size) => size >= 8 << 20, { error: 'must be 8Mi or more' })
    .prefault('64Mi')
    .describe(
      'Bytes of bodies of HTTP requests that may be in memory while they come, beyond the first 64 KiB of each, and as many of messages of gRPC. Nothing waits for room: of HTTP one more is refused, of gRPC the one with most of those that take longer than a second gives way first (QUEUE_FULL).',
    ),
};
