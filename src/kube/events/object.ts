import { apiVersionOf, type KubeObject, microTime, type ResourceType } from '../client/object.ts';

/** https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/ */
export const eventType: ResourceType = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
};

/** Something that happened to an object, for people who look at it. */
export type EventNote = {
  readonly regarding: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /** Why, as one word in CamelCase. */
  readonly reason: string;
  /** What was done or tried, as one word in CamelCase. */
  readonly action: string;
  /** A sentence; what is longer than 1,024 bytes is cut off. */
  readonly note: string;
};

export type Reporter = {
  /** Name of the controller, like `example.com/operator`. */
  readonly controller: string;
  /** Of the process, at most 128 characters. */
  readonly instance: string;
};

/** Limits of the API server. */
const maxNoteBytes = 1024;
const maxWord = 128;
const maxName = 253;

/** The text, or its beginning with an ellipsis, in at most `max` bytes of UTF-8. */
export const cutBytes = (text: string, max: number): string => {
  const bytes = Buffer.from(text);
  if (bytes.length <= max) return text;
  let end = max - Buffer.byteLength('…');
  // Not within a character.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return `${bytes.toString('utf8', 0, end)}…`;
};

/** Events of objects of the cluster live there. */
export const eventNamespaceOf = ({ regarding }: EventNote): string => {
  const { namespace = '' } = regarding.metadata;
  return namespace === '' ? 'default' : namespace;
};

/** `suffix` makes the name unique; it consists of letters and digits. */
export const eventNameOf = ({ regarding }: EventNote, suffix: string): string =>
  `${regarding.metadata.name.slice(0, maxName - suffix.length - 1).replace(/[^a-z0-9]+$/, '')}.${suffix}`;

/** Equal events are told as one that happened more than once. */
export const sameEventKey = ({
  regarding: { metadata, kind },
  type,
  reason,
  action,
  note,
}: EventNote): string =>
  JSON.stringify([kind, metadata.uid, metadata.namespace, metadata.name, type, reason, action, note]);

export const eventObject = (
  event: EventNote,
  name: string,
  at: number,
  { controller, instance }: Reporter,
) => {
  const { apiVersion, kind, metadata } = event.regarding;
  return {
    apiVersion: apiVersionOf(eventType),
    kind: eventType.kind,
    metadata: { name, namespace: eventNamespaceOf(event) },
    eventTime: microTime(at),
    type: event.type,
    reason: event.reason.slice(0, maxWord),
    action: event.action.slice(0, maxWord),
    note: cutBytes(event.note, maxNoteBytes),
    reportingController: controller,
    reportingInstance: instance.slice(0, maxWord),
    regarding: {
      apiVersion,
      kind,
      name: metadata.name,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    },
  };
};
