// JSON of the server into typed values: unknown keys are passed over, a
// missing or wrong one is refused with its place.

import type {
  DeploymentStatus,
  DeviceStatus,
  ErrorBody,
  ExecutorStatus,
  ModelPage,
  ModelSummary,
  RelayStatus,
  ServerStatus
} from './api';

/** Checks a value that stands at `place`, and returns it typed. */
export type Decoder<T> = (value: unknown, place: string) => T;

/** The server's answer isn't what its description says. */
export class DecodingError extends Error {
  constructor(place: string, expected: string) {
    super(`${place || 'The answer'} is not ${expected}.`);
    this.name = 'DecodingError';
  }
}

const text: Decoder<string> = (value, place) => {
  if (typeof value !== 'string') {
    throw new DecodingError(place, 'text');
  }
  return value;
};

const number: Decoder<number> = (value, place) => {
  if (typeof value !== 'number') {
    throw new DecodingError(place, 'a number');
  }
  return value;
};

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const anyObject: Decoder<Record<string, unknown>> = (value, place) => {
  if (!isObject(value)) {
    throw new DecodingError(place, 'an object');
  }
  return value;
};

function nullable<T>(decode: Decoder<T>): Decoder<T | null> {
  return (value, place) => (value === null ? null : decode(value, place));
}

function optional<T>(decode: Decoder<T>): Decoder<T | undefined> {
  return (value, place) =>
    value === undefined ? undefined : decode(value, place);
}

function list<T>(decode: Decoder<T>): Decoder<readonly T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) {
      throw new DecodingError(place, 'a list');
    }
    return value.map((item: unknown, index) =>
      decode(item, `${place}[${index}]`)
    );
  };
}

function oneOf<T extends string>(...choices: readonly T[]): Decoder<T> {
  return (value, place) => {
    const choice = choices.find(candidate => candidate === value);
    if (choice === undefined) {
      throw new DecodingError(place, `one of ${choices.join(', ')}`);
    }
    return choice;
  };
}

/** A decoder for each property of T: the compiler finds a forgotten one. */
type Fields<T> = { readonly [K in keyof T]-?: Decoder<T[K]> };

function object<T extends object>(fields: Fields<T>): Decoder<T> {
  return (value, place) => {
    const source = anyObject(value, place);
    const target: Partial<T> = {};
    for (const key of Object.keys(fields) as (keyof T & string)[]) {
      const decoded = fields[key](source[key], place ? `${place}.${key}` : key);
      if (decoded !== undefined) {
        target[key] = decoded;
      }
    }
    return target as T;
  };
}

export const decodeError: Decoder<ErrorBody> = object<ErrorBody>({
  code: text,
  message: text,
  request_id: optional(nullable(text)),
  details: optional(anyObject)
});

const decodeDeployment = object<DeploymentStatus>({
  reference: text,
  version_id: text,
  state: oneOf('stopped', 'starting', 'ready', 'failed'),
  pid: optional(nullable(number)),
  queued: optional(number),
  running: optional(number),
  calls: optional(number),
  failures: optional(number),
  restarts: optional(number),
  memory_bytes: optional(number)
});

const decodeExecutor = object<ExecutorStatus>({
  state: oneOf('starting', 'ready', 'restarting', 'stopped'),
  pid: optional(nullable(number)),
  uptime_s: optional(nullable(number)),
  restarts: optional(number),
  connections: optional(number),
  deployments: optional(list(decodeDeployment))
});

const decodeDevice = object<DeviceStatus>({
  name: text,
  kind: oneOf('cpu', 'gpu'),
  description: optional(text),
  cores: optional(number),
  memory_total_bytes: optional(number),
  memory_used_bytes: optional(number)
});

const decodeRelay = object<RelayStatus>({
  relaying_pid: number,
  holding_pid: number
});

export const decodeStatus: Decoder<ServerStatus> = object<ServerStatus>({
  server_id: text,
  version: text,
  protocol: number,
  model_count: number,
  executor: decodeExecutor,
  devices: optional(list(decodeDevice)),
  relay: optional(nullable(decodeRelay))
});

const decodeModel = object<ModelSummary>({
  name: text,
  active: nullable(number),
  latest: number,
  version_count: number,
  state: oneOf('loading', 'ready', 'failed'),
  description: nullable(text),
  tags: list(text),
  runtime: text,
  updated_at: text
});

export const decodeModelPage: Decoder<ModelPage> = object<ModelPage>({
  items: list(decodeModel),
  next_cursor: optional(nullable(text))
});
