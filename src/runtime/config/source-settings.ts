import { z } from 'zod';
import { defaultHubEndpoint } from '../../api/source.ts';
import {
  bandwidth,
  count,
  egressList,
  list,
  networkList,
  registryMirrors,
  timeZone,
} from '../../settings/values.ts';

/** Where adapters come from, over which links, and to whom they are passed on. */
export const sourceSettings = {
  loraLoading: z
    .enum(['true', 'false'])
    .prefault('false')
    .transform((text) => text === 'true')
    .describe(
      'Whether /v1/load_lora_adapter and /v1/unload_lora_adapter of vLLM load and unload adapters, for callers with the right Lifecycle. With a folder of manifests, which has to be writable, any folder below import-roots may be loaded, and is named in a manifest of its own (lora-loading.yaml). With an operator only what the plan has is loaded.',
    ),
  registryConfig: z
    .string()
    .optional()
    .describe(
      'A docker config.json with credentials of OCI registries, for adapters whose source names no Secret, and for the base model unless base-registry-config is there.',
    ),
  baseRegistryConfig: z
    .string()
    .optional()
    .describe(
      'A docker config.json with credentials of the registry of the base model alone: no adapter comes with them. Default: registry-config.',
    ),
  registryMirrors: registryMirrors
    .prefault('')
    .describe(
      'Mirrors of registries, as docker.io=mirror.example:5000,cache.example;ghcr.io=mirror.example:5000. They are asked first, in this order, for what a digest names, and the registry last; tags, signatures and sources with a Secret are its own. A mirror gets the credentials for its own host. Mirrors are allowed as those of egress-allow are.',
    ),
  insecureRegistries: list
    .prefault('')
    .describe(
      'Hosts of registries and of http sources that are reached over plain HTTP, separated by commas. Loopback always is. They are allowed as those of egress-allow are.',
    ),
  egressAllow: egressList
    .prefault('')
    .describe(
      'Where registries of adapters, web servers of http sources, their token services and their storage may be, besides public addresses over TLS, the registry of the base model, the hub of hf-endpoint, and what the AdapterPolicy of the namespace lists: hosts as host, host:port or *.domain, addresses, and networks as 10.0.0.0/8, separated by commas. A host may have private addresses; loopback and link-local are open only by their address. A node that follows a folder of manifests may ask loopback and private addresses in any case.',
    ),
  egressDeny: networkList
    .prefault('')
    .describe(
      'Addresses and networks that nothing opens for registries and other sources, separated by commas.',
    ),
  hfEndpoint: z
    .url({ protocol: /^https?$/, error: 'must be an address such as https://huggingface.co' })
    .default(defaultHubEndpoint)
    .describe(
      'Hub that huggingFace sources come from: https://huggingface.co, or a server with its API. It may have a private address. Plain HTTP only where insecure-registries lists it, or on this machine.',
    ),
  hfTokenFile: z
    .string()
    .optional()
    .describe(
      'File with a token for that hub, for huggingFace sources that name no Secret. Read anew each time.',
    ),
  maxParallelDownloads: count(1, 64).prefault(4).describe('Adapters that are downloaded at the same time.'),
  downloadBandwidth: bandwidth
    .prefault('')
    .describe(
      'Bytes per second that all downloads of this node take together, base model included: a quantity such as 1Mi, or times of the day before it: 22:00-06:00=10Mi,256Ki. 0: nothing is downloaded meanwhile. The first time that fits counts; one without a time holds otherwise. Default: no limit.',
    ),
  downloadTimeZone: timeZone
    .default('UTC')
    .describe('Time zone of those times of the day, such as Europe/Berlin.'),
  downloadRetries: count(1, 1000)
    .prefault(20)
    .describe(
      'Failed requests for downloads that are repeated in a minute, for each host, however many adapters come from there. What asks with Retry-After to be left alone is not asked by any of them until then.',
    ),
  peersListen: z
    .string()
    .optional()
    .describe(
      'Address at which other runtimes of its site get blobs of adapters from this one, and by which this one takes part: what one of them has does not come over the uplink again. Over TLS with certificates of the operator, for runtimes of Nodes alone. Without it everything comes from its source.',
    ),
  peersHost: z
    .union([z.ipv4(), z.ipv6()])
    .optional()
    .describe('IP address by which the others reach that: the one of the pod.'),
  peersBandwidth: bandwidth
    .prefault('')
    .describe('Bytes per second that all of them get from here together, as `downloadBandwidth` is written.'),
};
