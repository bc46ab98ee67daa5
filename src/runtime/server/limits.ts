/** What connections to one request port may take. */
export type ConnectionLimits = {
  /** Connections at the same time. */
  readonly maxConnections: number;
  /** Milliseconds that a connection may be without a request. */
  readonly idleMs: number;
  /** Milliseconds that the body of a request, or the message of a call, may be on its way. */
  readonly bodyMs: number;
  /** Bytes of bodies that may be in memory while they come, of all HTTP requests together. */
  readonly bodyBytes: number;
  /** Whether an address is that of a gateway, whose clients do not wait for each other. Absent: none is. */
  readonly isGateway?: (address: string | undefined) => boolean;
};
