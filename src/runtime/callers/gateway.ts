import { identityHeaders } from '../routing/identity.ts';

/** A gateway in front of this node, as its administrator describes it. */
export type Gateway = {
  /** Priority by the name of an objective; a name that is not here has none. */
  readonly objectives: ReadonlyMap<string, number>;
};

/** Where gateways are, and what their objectives mean here. */
export type Gateways = Gateway & {
  /** Whether a connection comes from one of them. */
  readonly isFrom: (address: string | undefined) => boolean;
};

/**
 * Headers that endpoint pickers read and pass on, in their present and their former names. Clients can send them as well: only those of
 * a trusted hop say anything.
 */
export const gatewayHeaders = {
  fairness: ['x-llm-d-inference-fairness-id', 'x-gateway-inference-fairness-id'],
  objective: ['x-llm-d-inference-objective', 'x-gateway-inference-objective'],
  session: ['x-session-id'],
} as const;

const firstOf = (headers: ReadonlyMap<string, string>, names: readonly string[]): string | undefined =>
  names.map((name) => headers.get(name)?.trim()).find((value) => value !== undefined && value !== '');

/**
 * The headers of a request as Adaptlet's own say it: whose turn it is, how urgent, which conversation. What the gateway says wins over
 * Adaptlet's own header, which a gateway may have passed on from its client: an objective that means nothing here is no priority.
 */
export const asOwnHeaders = (
  headers: ReadonlyMap<string, string>,
  { objectives }: Gateway,
): ReadonlyMap<string, string> => {
  const own = new Map(headers);
  const set = (name: string, value: string | undefined): void => {
    if (value !== undefined) own.set(name, value);
  };
  set(identityHeaders.tenant, firstOf(headers, gatewayHeaders.fairness));
  set(identityHeaders.session, firstOf(headers, gatewayHeaders.session));
  const objective = firstOf(headers, gatewayHeaders.objective);
  if (objective !== undefined) {
    own.delete(identityHeaders.priority);
    set(identityHeaders.priority, objectives.get(objective)?.toString());
  }
  return own;
};
