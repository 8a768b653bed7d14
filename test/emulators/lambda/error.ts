/** An answer of the service that is an error: HTTP status, type as in x-amzn-ErrorType, text, further fields. */
export class ServiceError extends Error {
  readonly status: number;
  readonly type: string;
  readonly fields: Readonly<Record<string, string>>;
  constructor(status: number, type: string, message: string, fields: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.fields = fields;
  }
}
