import { labApiServer } from '../certificates.ts';

/**
 * Who has which address in a lab. Every lab has the same ones: they are in network namespaces of their own. The fabric is
 * the network between nodes; control plane, DNS and registry listen on its own address.
 */
export const fabricAddress = labApiServer;
export const apiServerUrl = `https://${fabricAddress}:6443`;
export const registryHost = `${fabricAddress}:5000`;
/** The Service of DNS. */
export const dnsAddress = '10.96.0.10';
export const podNetwork = '10.244.0.0/16';

/** Routes are made for so many nodes. */
export const mostNodes = 9;
export const nodeName = (index: number): string => `node-${index}`;
export const nodeAddress = (index: number): string => `10.250.0.${10 + index}`;
export const podSubnet = (index: number): string => `10.244.${index}.0/24`;
