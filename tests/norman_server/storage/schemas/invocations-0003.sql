BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE idempotency_keys (
	user TEXT NOT NULL, 
	"key" VARCHAR(200) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	invocation_id VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_idempotency_keys PRIMARY KEY (user, "key"), 
	CONSTRAINT fk_idempotency_keys_invocation_id FOREIGN KEY(invocation_id) REFERENCES invocations (id) ON DELETE CASCADE
);
INSERT INTO "idempotency_keys" VALUES('ada','k','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','01990000000000000000000000000001','2031-05-06 07:08:09.000000');
CREATE TABLE invocations (
	id VARCHAR(64) NOT NULL, 
	executor_id VARCHAR(200) NOT NULL, 
	version_id VARCHAR(64) NOT NULL, 
	reference TEXT NOT NULL, 
	model_key VARCHAR(400) NOT NULL, 
	number INTEGER, 
	state VARCHAR(16) NOT NULL, 
	user TEXT NOT NULL, 
	kernel_id TEXT, 
	accepted_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	queue_s FLOAT, 
	model_s FLOAT, 
	total_s FLOAT, 
	input_bytes BIGINT NOT NULL, 
	output_bytes BIGINT, 
	error_code VARCHAR(64), 
	error_message TEXT, 
	error_details JSON, 
	logs TEXT, timeout_s FLOAT, replay_of VARCHAR(64), codec_s FLOAT, 
	CONSTRAINT pk_invocations PRIMARY KEY (id), 
	CONSTRAINT ck_invocations_state CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'timed_out', 'interrupted'))
);
INSERT INTO "invocations" VALUES('01990000000000000000000000000001','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','11111111111111111111111111111111','digits@1','digits',1,'succeeded','ada',NULL,'2031-05-06 07:08:09.000000','2031-05-06 07:08:09.000000',0.1,0.2,0.3,2,2,NULL,NULL,NULL,NULL,NULL,NULL,0.05);
INSERT INTO "invocations" VALUES('01990000000000000000000000000002','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','11111111111111111111111111111111','digits@1','digits',1,'failed','ada',NULL,'2031-05-06 07:08:09.000000','2031-05-06 07:08:09.000000',0.1,0.2,0.3,2,NULL,'model_failed','It raised.',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE payloads (
	invocation_id VARCHAR(64) NOT NULL, 
	side VARCHAR(8) NOT NULL, 
	descriptors JSON NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_payloads PRIMARY KEY (invocation_id, side), 
	CONSTRAINT ck_payloads_side CHECK (side IN ('inputs', 'outputs')), 
	CONSTRAINT fk_payloads_invocation_id FOREIGN KEY(invocation_id) REFERENCES invocations (id) ON DELETE CASCADE
);
INSERT INTO "payloads" VALUES('01990000000000000000000000000001','inputs','[{"name":"x","kind":"json","size_bytes":2}]',X'3431');
CREATE TABLE segments (
	name VARCHAR(255) NOT NULL, 
	executor_id VARCHAR(200) NOT NULL, 
	offset_bytes BIGINT NOT NULL, 
	corrupt BOOLEAN NOT NULL, 
	CONSTRAINT pk_segments PRIMARY KEY (name)
);
INSERT INTO "segments" VALUES('x.frames','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee',10,0);
CREATE INDEX ix_invocations_executor_id_state ON invocations (executor_id, state);
CREATE INDEX ix_invocations_model_key_id ON invocations (model_key, id);
CREATE INDEX ix_invocations_state_id ON invocations (state, id);
CREATE INDEX ix_invocations_model_key_number_id ON invocations (model_key, number, id);
CREATE INDEX ix_invocations_model_key_state_id ON invocations (model_key, state, id);
CREATE INDEX ix_invocations_model_key_number_state_id ON invocations (model_key, number, state, id);
CREATE INDEX ix_idempotency_keys_invocation_id ON idempotency_keys (invocation_id);
CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);
COMMIT;
