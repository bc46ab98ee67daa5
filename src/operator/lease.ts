/** Name of the Lease by which replicas agree on a leader, in the namespace of the operator. */
export const leaseName = 'adaptlet-operator';
/** Annotation of the Lease with the address of the leader. */
export const addressAnnotation = 'adaptlet.io/address';
/** Part of the lease between two renewals, and between two tries to get it: see docs/adr/0016. */
export const renewPart = 0.4;
export const retryPart = 0.15;
