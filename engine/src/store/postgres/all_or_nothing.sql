-- Ends a statement that was given rows to change and did not find all of them: one sent behind it, or a COMMIT, changes
-- nothing then.
CREATE FUNCTION hydra.all_or_nothing(changed bigint, given integer, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF changed <> given THEN
        RAISE EXCEPTION 'changed % rows of hydra.% instead of %: the store does not isolate its transactions',
            changed, what, given;
    END IF;
END $$;
